"""The whole job on one machine: a broker, the daemon as users run it, and a subscriber that counts.

Nothing here prints; :mod:`edged.cli.demo` does.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edged.errors import EdgedError, SinkError
from edged.model import catalog
from edged.trial import demo_broker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

MODEL = "blazeface-full-range"
CLIP = "demo.mp4"
BASE = "edged/demo"
"""What all topics of the demo start with."""

_HOST = "127.0.0.1"
_CONNECT_S = 10.0
_STOP_S = 15.0
"""How long the daemon gets to stop when the demo is interrupted."""
_LAST_WORDS_S = 5.0
"""How long the last messages may be on their way once the daemon has ended."""


class DemoError(EdgedError):
    """The demo ran, but not everything came out as it must."""


@dataclass(frozen=True, slots=True)
class Received:
    """What the subscriber got."""

    at: float
    """Seconds since it subscribed."""
    topic: str
    """Below :data:`BASE`."""
    payload: bytes

    def json(self) -> Any:
        """The payload, decoded.

        Raises:
            DemoError: it is no JSON.
        """
        try:
            return json.loads(self.payload)
        except ValueError as error:
            raise DemoError(
                f"the message on {BASE}/{self.topic} is no JSON: {self.payload[:80]!r}"
            ) from error


@dataclass(slots=True)
class Tally:
    """The subscriber's own account of what it got."""

    messages: int = 0
    frames: list[int] = field(default_factory=list)
    """``frame_id`` of each detections message, in the order of arrival."""
    seqs: list[int] = field(default_factory=list)
    faces: int = 0
    """Frames in which something was found."""
    timings: dict[str, Any] = field(default_factory=dict)
    """The last timings message."""
    offline: bool = False
    """Whether the daemon has said goodbye."""
    expected: int | None = None
    """Messages that the broker has acknowledged, as soon as that is known."""
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once as many have arrived."""

    def take(self, message: Received) -> None:
        """Count one message."""
        self.messages += 1
        leaf = message.topic.rpartition("/")[2]
        if leaf == "detections":
            payload = message.json()
            self.frames.append(payload["frame_id"])
            self.seqs.append(payload["seq"])
            self.faces += bool(payload["detections"])
        elif leaf == "timings":
            self.timings = message.json()
        elif message.topic == "availability" and message.payload == b"offline":
            self.offline = True
        self._look()

    def expect(self, messages: int) -> None:
        """From now on it is known how many there are."""
        self.expected = messages
        self._look()

    def _look(self) -> None:
        if self.expected is not None and self.messages >= self.expected:
            self.complete.set()


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """What a run of the demo came to."""

    tally: Tally
    delivery: dict[str, Any]
    """The daemon's account of its messages."""
    video: Path
    codec: str
    width: int
    height: int
    frames: int
    """In the video."""
    duration_s: float
    """Length of the video."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that is ready to run: everything it needs is there."""

    folder: Path
    model: Path
    clip: Path
    port: int

    @classmethod
    def prepare(cls, folder: Path) -> Demo:
        """Look for model, clip and broker, and write the settings.

        Args:
            folder: for what the demo leaves; its own files of an earlier run are replaced.

        Raises:
            CatalogError: the model's package is not installed.
            ConfigError: the broker's package is not installed.
            SinkError: the folder cannot be written.
        """
        model = catalog.find_package_file(catalog.load().find(MODEL).model)
        demo_broker.load()
        with socket.create_server((_HOST, 0)) as probe:
            port: int = probe.getsockname()[1]
        demo = cls(folder.resolve(), model, catalog.assets() / CLIP, port)
        try:
            demo.folder.mkdir(parents=True, exist_ok=True)
            for path in (demo.video, demo.jsonl, demo.events, demo.log):
                path.unlink(missing_ok=True)
            demo.env_file.write_text(demo._settings(), encoding="utf-8")
        except OSError as error:
            raise SinkError(
                f"the demo cannot write into {str(folder)!r}: {error.strerror}",
                hint="Choose another folder with --output",
            ) from error
        return demo

    @property
    def video(self) -> Path:
        """Annotated video."""
        return self.folder / "annotated.mp4"

    @property
    def jsonl(self) -> Path:
        """Detections, one line a frame."""
        return self.folder / "detections.jsonl"

    @property
    def events(self) -> Path:
        """What happened, one line an event."""
        return self.folder / "events.jsonl"

    @property
    def env_file(self) -> Path:
        """Settings of the daemon."""
        return self.folder / "edged.env"

    @property
    def log(self) -> Path:
        """What the daemon logged."""
        return self.folder / "edged.log"

    async def run(self, show: Callable[[Received], None]) -> DemoOutcome:
        """Start everything, wait for the daemon's end, and check every account.

        Args:
            show: called with each message as it arrives.

        Raises:
            DemoError: the daemon failed, or frames or messages are missing.
        """
        tally = Tally()
        async with demo_broker.serve(_HOST, self.port), _subscriber(self.port) as arrivals:
            listening = asyncio.create_task(_listen(arrivals, tally, show), name="listen")
            try:
                daemon = asyncio.create_task(self._daemon(), name="daemon")
                await asyncio.wait([listening, daemon], return_when=asyncio.FIRST_COMPLETED)
                if listening.done():
                    daemon.cancel()
                    await asyncio.wait([daemon])
                    listening.result()
                daemon.result()
                delivery = self._delivery()
                tally.expect(delivery["acknowledged"])
                with suppress(TimeoutError):
                    await asyncio.wait_for(tally.complete.wait(), _LAST_WORDS_S)
            finally:
                listening.cancel()
        outcome = self._outcome(tally, delivery)
        _check(outcome)
        return outcome

    def _settings(self) -> str:
        """The env file of the daemon, ready to be changed by who wants to go on from here."""
        lines = {
            "EDGED_SOURCE": self.clip,
            "EDGED_MODEL": self.model,
            "EDGED_OUTPUT": self.video,
            "EDGED_JSONL": self.jsonl,
            "EDGED_EVENTS_JSONL": self.events,
            "EDGED_ZONE_WINDOW": "0,0.2 0.4,0.2 0.4,1 0,1",
            "EDGED_LINE_GATE": "0.65,0.2 0.65,1",
            "EDGED_MQTT_URL": f"mqtt://{_HOST}:{self.port}",
            "EDGED_MQTT_VERSION": "3.1.1",
            "EDGED_NODE": BASE.rpartition("/")[2],
            "EDGED_STATS_INTERVAL": "3600",
            "EDGED_LOG_FORMAT": "json",
        }
        return (
            "# The settings of 'edged demo'. Its broker ends with it: to go on from here, name your own.\n"
            "# The long stats interval makes one closing timings message over the whole run.\n"
        ) + "".join(f"{name}={_quoted(str(value))}\n" for name, value in lines.items())

    async def _daemon(self) -> None:
        """Run the daemon in a process of its own, as users do, to its end."""
        # The environment wins over the file: settings of this machine's own daemon must not leak in.
        inherited = os.environ  # noqa: TID251  # handed on, not read
        environment = {name: value for name, value in inherited.items() if not name.startswith("EDGED_")}
        with self.log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edged", "run", "--env-file", str(self.env_file),
                env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
            raise
        if code != 0:
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise DemoError(
                f"the daemon ended with exit code {code}: {lines[-1] if lines else 'it logged nothing'}",
                hint=f"The whole log is {self.log}",
            )

    def _delivery(self) -> dict[str, Any]:
        """The account of messages that the daemon logs at its end."""
        for line in reversed(self.log.read_text(encoding="utf-8", errors="replace").splitlines()):
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and event.get("event") == "mqtt_delivery":
                    return event
        raise DemoError("the daemon logged no account of its messages", hint=f"Its log is {self.log}")

    def _outcome(self, tally: Tally, delivery: dict[str, Any]) -> DemoOutcome:
        import av  # noqa: PLC0415  # only now, so that what is missing is told at once
        import av.error  # noqa: PLC0415

        try:
            with av.open(str(self.video)) as container:
                stream = container.streams.video[0]
                codec = stream.codec_context
                times = [frame.time for frame in container.decode(stream)]
        except (OSError, IndexError, av.error.FFmpegError) as error:
            raise DemoError(f"the video {str(self.video)!r} cannot be read: {error}") from error
        duration_s = times[-1] * len(times) / (len(times) - 1) if len(times) > 1 else 0.0
        return DemoOutcome(
            tally, delivery, self.video, codec.name, codec.width, codec.height, len(times), duration_s
        )


def _check(outcome: DemoOutcome) -> None:
    """Every frame must be in the ledger, in the video and in the messages, once and in order.

    Raises:
        DemoError: the first account that does not close.
    """
    tally = outcome.tally
    if not tally.timings:
        raise DemoError("the daemon published no timings")
    frames = tally.timings["frames"]
    captured = frames["captured"]
    expected = list(range(captured))
    results = frames["inferred"] + frames["still"]
    if results + sum(frames["dropped"].values()) + frames["in_flight"] != captured:
        raise DemoError(f"the frame ledger does not close: {frames}")
    if results != captured:
        raise DemoError(f"frames of a file were lost: {frames}")
    if tally.frames != expected or tally.seqs != expected:
        raise DemoError(f"{captured} frames were captured, but the messages of {len(tally.frames)} arrived")
    if outcome.frames != captured:
        raise DemoError(f"{captured} frames were captured, but the video has {outcome.frames}")
    if tally.messages != outcome.delivery["acknowledged"] or not outcome.delivery["closes"]:
        raise DemoError(f"{tally.messages} messages arrived, but the daemon's account is {outcome.delivery}")
    if not tally.offline:
        raise DemoError("the daemon did not publish that it is offline")


def _quoted(value: str) -> str:
    """A value for an env file."""
    if all(character.isalnum() or character in "/._-:@+" for character in value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


async def _listen(arrivals: asyncio.Queue[Received], tally: Tally, show: Callable[[Received], None]) -> None:
    while True:
        message = await arrivals.get()
        tally.take(message)
        show(message)


@asynccontextmanager
async def _subscriber(port: int) -> AsyncIterator[asyncio.Queue[Received]]:
    """Everything below :data:`BASE`, from the moment of the SUBACK."""
    from paho.mqtt.client import Client, MQTTMessage, MQTTv311  # noqa: PLC0415  # as av above
    from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    arrivals: asyncio.Queue[Received] = asyncio.Queue()
    subscribed = asyncio.Event()
    started = time.monotonic()

    def on_connect(client: Client, *_: object) -> None:
        client.subscribe(f"{BASE}/#", qos=1)

    def on_subscribe(*_: object) -> None:
        loop.call_soon_threadsafe(subscribed.set)

    def on_message(_client: Client, _userdata: object, message: MQTTMessage) -> None:
        topic = message.topic.removeprefix(f"{BASE}/")
        arrived = Received(time.monotonic() - started, topic, bytes(message.payload))
        loop.call_soon_threadsafe(arrivals.put_nowait, arrived)

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv311)
    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    client.connect_async(_HOST, port)
    client.loop_start()
    try:
        try:
            await asyncio.wait_for(subscribed.wait(), _CONNECT_S)
        except TimeoutError as error:
            raise DemoError(f"the demo's own broker on {_HOST}:{port} does not answer") from error
        yield arrivals
    finally:
        client.disconnect()
        await loop.run_in_executor(None, client.loop_stop)
