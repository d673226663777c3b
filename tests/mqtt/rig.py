"""The real parts that the MQTT tests and benchmarks run against: a mosquitto of their own and its clients."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import uuid4

import numpy as np
from typing_extensions import TypeVar

from edged.contract import schema
from edged.contract.topics import NodeTopics, Topics
from edged.metrics import FrameCounts, Meter, StageStats
from edged.mqtt.camera.extent import Extent
from edged.mqtt.home.discovery import Announced
from edged.mqtt.link.client import BrokerAccess
from edged.mqtt.node import MqttNode, NodeOptions
from edged.records import Box, Detection, Frame, Report, Result, State
from edged.settings.broker import Broker, parse_url
from edged.sinks import NoControl
from edged.sinks.mqtt import MqttSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jsonschema import Draft202012Validator

    from edged.sinks import Control

SCHEMAS = schema.schemas()
TOPICS = Topics("edged", "lab1", "front")
_MEMORY = Path("/dev/shm")  # noqa: S108  # nobody but this run gets at folders of tempfile
QUICK_DISK = _MEMORY if os.access(_MEMORY, os.W_OK) else None
"""For tests that sync files thousands of times, in every order of steps; None stands for the usual place."""
PATIENCE_S = 60.0
"""What anything may take on a busy machine; where it is to be quick, a test measures that."""
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], timeout: float = PATIENCE_S) -> bool:
    """Wait for a condition; whether it came true."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Mosquitto:
    """A broker on a loopback port of its own, that can be stopped, killed, frozen and started again."""

    def __init__(self, folder: Path, *lines: str, listener: str = "", anonymous: bool = True) -> None:
        assert MOSQUITTO is not None, "mosquitto is not installed"
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.folder = folder
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            "\n".join(
                [
                    f"listener {self.port} 127.0.0.1",
                    *listener.splitlines(),
                    f"allow_anonymous {str(anonymous).lower()}",
                    "persistence true",
                    f"persistence_location {folder}/",
                    "max_queued_messages 0",
                    "user root",
                    *lines,
                    "",
                ]
            )
        )
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def broker(self) -> Broker:
        """As edged names it."""
        return parse_url(f"mqtt://127.0.0.1:{self.port}")

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(errors="replace")

    def start(self) -> Self:
        """Start, and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(MOSQUITTO), "-v", "-c", str(self._config)], stdout=log, stderr=log
            )
        assert until(self._listens), self.log
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_S)
            self._process = None

    def freeze(self) -> None:
        """It neither reads nor writes any more; its connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self.stop()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def end(process: subprocess.Popen[bytes]) -> None:
    """End a mosquitto_sub; now and then it misses the signal."""
    process.terminate()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


class Received(NamedTuple):
    """One message as a subscriber got it."""

    topic: str
    payload: bytes
    qos: int
    retained: bool


class Subscriber:
    """mosquitto_sub: a client that shares no code with edged, and comes back by itself."""

    def __init__(
        self,
        port: int,
        *topics: str,
        options: tuple[str, ...] = ("-V", "5"),
        probe: str = "probe",
        lasting: str = "",
    ) -> None:
        """``lasting`` is the name of a session for which the broker keeps what it misses."""
        self.received: list[Received] = []
        self._port = port
        self._options = options
        self._probe = f"{probe}/{uuid4().hex}"
        self._marks: set[bytes] = set()
        command = ["mosquitto_sub", "-p", str(port), "-q", "1", "-F", "%q %r %x %t", *options]
        if lasting:
            command += ["-c", "-i", lasting, "-x", "3600"]
        for topic in {*(topics or ("#",)), self._probe}:
            command += ["-t", topic]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._thread = threading.Thread(target=self._read, daemon=True)  # not in the package
        self._thread.start()

    def on(self, topic: str) -> list[bytes]:
        """Payloads of one topic, in order."""
        return [message.payload for message in list(self.received) if message.topic == topic]

    def wait_for(self, topic: str, payload: bytes | None = None, timeout: float = PATIENCE_S) -> bytes:
        """The first payload on a topic, or that very payload."""

        def found() -> list[bytes]:
            return [content for content in self.on(topic) if payload is None or content == payload]

        assert until(found, timeout), f"nothing like {payload!r} on {topic}: {self.on(topic)[-3:]}"
        return found()[-1]

    def catch_up(self) -> None:
        """Wait for a message of our own, and with it for all that the broker has had before."""
        mark = uuid4().hex.encode()
        limit = time.monotonic() + PATIENCE_S
        while not until(lambda: mark in self._marks, 0.05):
            assert time.monotonic() < limit, "mosquitto_sub gets nothing"
            publish(self._port, self._probe, mark, *self._options)

    def close(self) -> None:
        """End the client; what it got must have been what the contract says."""
        end(self._process)
        self._thread.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()
        assert_contract(self.received)

    def __enter__(self) -> Self:
        """It is subscribed when this returns."""
        try:
            self.catch_up()
        except BaseException:
            end(self._process)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            qos, retained, payload, topic = line.rstrip(b"\n").decode().split(" ", 3)
            if topic == self._probe:
                self._marks.add(bytes.fromhex(payload))
            else:
                self.received.append(Received(topic, bytes.fromhex(payload), int(qos), retained == "1"))


def closed(schema: Any) -> Any:
    """A schema that takes nothing but what it names: the published ones are open for later fields."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: closed(part) for name, part in schema.items()}
    if "properties" in strict:
        strict["additionalProperties"] = False
    return strict


@cache
def validator(name: str) -> Draft202012Validator:
    """What checks a payload. Importing it takes seconds, and processes under test must not wait for that."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator(closed(SCHEMAS[name]))


def channel_of(topic: str, topics: Topics = TOPICS) -> str:
    """The channel of the contract that a topic belongs to, whatever camera's; empty where there is none."""
    camera, below, _ = topic.removeprefix(f"{topics.base}/").partition("/")
    if below and camera != "cmd":
        topics = dataclasses.replace(topics, camera=camera)
    fixed = {
        topics.availability: "availability",
        topics.state: "state",
        topics.status: "status",
        topics.camera_state: "camera_state",
        topics.detections: "detections",
        topics.timings: "timings",
        topics.snapshot: "snapshot",
        topics.events: "events",
        topics.occupancy: "occupancy",
    }
    kind, *rest = topic.removeprefix(f"{topics.base}/{topics.camera}/").split("/")
    if kind in {"best", "zone", "line", "last_seen"}:
        zone = "zone_occupancy" if rest[1:] == ["occupancy"] else "zone_count"
        return {"best": "best", "zone": zone, "line": "line_total", "last_seen": "last_seen"}[kind]
    if topic.startswith(topics.count("")):
        return "count"
    if topic.startswith(topics.command("")):
        return "command_result" if topic.endswith("/result") else "command"
    if topic.startswith(topics.camera_command("")):
        return "camera_command_result" if topic.endswith("/result") else "camera_command"
    return fixed.get(topic, "")


_CLEARED = {
    "count",
    "zone_count",
    "zone_occupancy",
    "line_total",
    "status",
    "camera_state",
    "snapshot",
    "best",
    "availability",
    "state",
    "occupancy",
    "last_seen",
}
"""What may be empty: it clears what was retained, such as of a camera or a node that has another name now."""


def assert_contract(messages: Iterable[Received], topics: Topics = TOPICS) -> int:
    """Every message of edged is what the contract says; returns how many there were."""
    checked = 0
    for message in messages:
        channel = channel_of(message.topic, topics)
        if not message.topic.startswith(topics.base) or channel in {"command", "camera_command"}:
            continue
        assert channel, f"{message.topic} is not in the contract"
        if not message.payload and channel in _CLEARED:
            pass  # it clears what was retained
        elif channel in {"snapshot", "best"}:
            assert message.payload.startswith(b"\xff\xd8")
        else:
            text = message.payload.decode()
            words = {"availability", "status", "occupancy", "zone_occupancy", "last_seen"}
            content = text if channel in words else json.loads(text)
            validator(channel).validate(content)
        checked += 1
    return checked


def publish(port: int, topic: str, payload: bytes = b"", *options: str) -> None:
    """Send one message with mosquitto_pub."""
    body = "-s" if payload else "-n"
    command = ["mosquitto_pub", "-p", str(port), "-q", "1", "-t", topic, body, *options]
    subprocess.run(command, input=payload, check=True, timeout=PATIENCE_S)


def access(
    broker: Broker, *, version: str = "5", keepalive_s: int = 15, client_id: str = "edged-lab1"
) -> BrokerAccess:
    """How edged gets to a broker."""
    return BrokerAccess(broker, client_id, version=version, keepalive_s=keepalive_s)


Kind = TypeVar("Kind", bound=MqttSink, default=MqttSink)


def sink(
    target: BrokerAccess,
    topics: Topics = TOPICS,
    *,
    meter: Meter,
    boot_id: str,
    control: Control | None = None,
    kind: type[Kind] = MqttSink,  # type: ignore[assignment]  # a default cannot be bound
    **options: Any,
) -> Kind:
    """The sink of the only camera of a node of its own, as the daemon has it, not yet open."""
    ours = {"spool", "named", "memory"} & options.keys()
    wanted_of_node = {"limit", "stop_timeout_s", "update_url"} & options.keys()
    extent = {field.name for field in dataclasses.fields(Extent)} & options.keys()
    announced = Announced(
        options.pop("discovery_prefix", "homeassistant"),
        options.pop("discovery", False),
        options.pop("several", False),
        max(3 * options.pop("stats_interval", 10.0), 30.0),
        commands=control is not None,
        updates="update_url" in options,
    )
    node = MqttNode(
        target,
        NodeTopics(topics.prefix, topics.node),
        NodeOptions(announced=announced, **{name: options.pop(name) for name in wanted_of_node}),
        boot_id=boot_id,
        reload=control.reload if control is not None else None,
        **{name: options.pop(name) for name in ours},
    )
    pictures = options.get("snapshot_interval_s", 0.0) > 0 or control is not None
    return kind(
        node,
        topics,
        meter=meter,
        control=control or NoControl(),
        give_back=node.close,
        announced=announced,
        extent=Extent(snapshots=pictures, **{name: options.pop(name) for name in extent}),
        **options,
    )


def open_sink(broker: Mosquitto, boot_id: str, *, version: str = "5", **options: Any) -> MqttSink:
    """The first of a run, open, with a meter of its own unless one is given."""
    options.setdefault("meter", Meter())
    options.setdefault("starting", True)
    opened: MqttSink = sink(access(broker.broker, version=version), TOPICS, boot_id=boot_id, **options)
    opened.open()
    return opened


def beside(other: MqttSink, **extent: Any) -> MqttSink:
    """What a reload opens in the place of another one: with the same node, which this one gives back."""
    node = other._node  # noqa: SLF001  # as the lender does it
    give_back, other._give_back = other._give_back, lambda: None  # noqa: SLF001  # likewise
    return MqttSink(
        node,
        other.topics,
        meter=Meter(),
        control=NoControl(),
        give_back=give_back,
        announced=Announced("homeassistant", False, False, 30.0, commands=False, updates=False),
        extent=Extent(**extent),
    )


IMAGE = np.zeros((48, 64, 3), np.uint8)
PERSON = Detection(0, "person", 0.875, Box(1.0, 2.0, 30.5, 40.25))
CAT = Detection(16, "tabby cat", 0.5, Box(5.0, 6.0, 20.0, 30.0))


def result(frame_id: int, *detections: Detection, model: str = "yolov8n", waits: bool = False) -> Result:
    """What the pipeline makes of a small frame."""
    frame = Frame(frame_id, IMAGE, time.time(), time.monotonic(), frame_id / 30)
    timings = {"capture": 1.5, "queue": 0.25, "preprocess": 2.0, "predict": 30.125, "postprocess": 0.5}
    return Result(frame, model, detections, timings, IMAGE.copy, waits=waits)


def results(rate: float, seconds: float) -> Iterator[Result]:
    """Results at a steady rate: every third frame shows somebody."""
    start = time.monotonic()
    for number in range(round(rate * seconds)):
        delay = start + number / rate - time.monotonic()
        if delay > 0:
            time.sleep(delay)
        yield result(number, *((PERSON,) if number % 3 == 0 else ()))


def state(**changes: object) -> State:
    """The state of a daemon that runs."""
    known: dict[str, object] = {
        "lifecycle": "running",
        "device": "cpu",
        "runtime": "ai-edge-litert 2.3.0",
        "model": "yolov8n",
        "version": "0.1.0",
        "config_hash": "0123456789ab",
        "camera_online": True,
        "source": {"kind": "file", "width": 64, "height": 48, "fps": 30.0},
    }
    return State(**(known | changes))  # type: ignore[arg-type]


def report(meter: Meter | None = None, **host: float) -> Report:
    """The figures of an interval."""
    stages = meter.take() if meter is not None else {"predict": StageStats(3, 30.0, 31.0, 32.0, 33.0)}
    counts = FrameCounts(captured=10, inferred=8, dropped={"stale": 1}, in_flight=1)
    return Report(10.0, 29.97, stages, counts, 2, {"mqtt": {"sent": 8}}, host)


def drained(sink: MqttSink, timeout: float = PATIENCE_S) -> bool:
    """Wait until nothing of it waits; whether that came true."""

    def quiet() -> bool:
        account = sink.delivery()
        return account.queued + account.in_flight + account.spooled == 0

    return until(quiet, timeout)


def contents(subscriber: Subscriber, topic: str) -> list[dict[str, Any]]:
    """What the broker has had for a topic until now, all of it."""
    subscriber.catch_up()
    return [json.loads(payload) for payload in subscriber.on(topic)]
