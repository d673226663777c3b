"""Brokers that come and go while edged publishes: what is sent, acknowledged, received and lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psutil
import rig

import edged
from edged.metrics import Meter
from edged.mqtt.delivery.spooler import SpoolFile
from edged.sinks.mqtt import MqttSink

if TYPE_CHECKING:
    from edged.metrics import Delivery, StageStats
    from edged.mqtt.delivery.message import Message


_LAST = b"the last message"


class Recorder(MqttSink):
    """The sink, which remembers in addition what the broker has acknowledged."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.acked: set[tuple[str, int]] = set()

    def acknowledged(self, message: Message) -> None:
        super().acknowledged(message)
        if message.topic == rig.TOPICS.detections:
            content = json.loads(message.payload)
            self.acked.add((content["boot_id"], content["seq"]))


@dataclass
class Outcome:
    """What a scenario came to."""

    made: int = 0
    """Detections."""
    acked: set[tuple[str, int]] = field(default_factory=set)
    received: list[tuple[str, int]] = field(default_factory=list)
    account: Delivery | None = None
    stages: dict[str, StageStats] = field(default_factory=dict)
    boot_id: str = ""
    seconds: float = 0.0
    """The sending took so long."""
    slowest_send_ms: float = 0.0
    rss_growth_mb: float = 0.0
    restarts: int = 0

    @property
    def missing(self) -> set[tuple[str, int]]:
        """Made and never received."""
        return {(self.boot_id, seq) for seq in range(self.made)} - set(self.received)

    @property
    def duplicates(self) -> int:
        """Received more than once."""
        return len(self.received) - len(set(self.received))

    @property
    def in_order(self) -> bool:
        """Whether first copies came in the order in which they were made."""
        firsts = list(dict.fromkeys(self.received))
        return firsts == sorted(firsts, key=lambda item: item[1])


class Listener:
    """A persistent QoS 1 subscriber of the detections, its output kept in a file and not in our memory."""

    def __init__(self, broker: rig.Mosquitto) -> None:
        self._port = broker.port
        self._file = broker.folder / f"received-{uuid4().hex}"
        with self._file.open("wb") as output:
            self._process = subprocess.Popen(
                ["mosquitto_sub", "-p", str(broker.port), "-q", "1", "-c", "-i", "listener", "-V", "5",
                 "-x", "3600", "-t", rig.TOPICS.detections],
                stdout=output, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        if not rig.until(lambda: "Sending SUBACK to listener" in broker.log):
            rig.end(self._process)
            raise AssertionError(broker.log)

    def received(self) -> list[tuple[str, int]]:
        """What has come so far."""
        lines = [line for line in self._file.read_bytes().split(b"\n")[:-1] if line != _LAST]
        contents = [json.loads(line) for line in lines]
        return [(content["boot_id"], content["seq"]) for content in contents]

    def settle(self, timeout: float = 90.0) -> list[tuple[str, int]]:
        """Wait for a message behind all others, then end."""
        end = time.monotonic() + timeout
        # A broker that was killed forgets who listened: until the listener is there again, nothing comes.
        while time.monotonic() < end:
            rig.publish(self._port, rig.TOPICS.detections, _LAST)
            if rig.until(lambda: self._file.read_bytes().endswith(_LAST + b"\n"), 1.0):
                break
        rig.end(self._process)
        return self.received()


class Memory:
    """Growth of our own resident memory, looked at ten times a second."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.start = self._process.memory_info().rss
        self._most = self.start
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Megabytes."""
        self._ended.set()
        self._thread.join()
        return (self._most - self.start) / 1e6

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            self._most = max(self._most, self._process.memory_info().rss)


def _sink(broker: rig.Mosquitto, meter: Meter, boot_id: str, **options: Any) -> Recorder:
    return rig.sink(
        rig.access(broker.broker, keepalive_s=options.pop("keepalive_s", 15)),
        rig.TOPICS,
        meter=meter,
        boot_id=boot_id,
        **options,
        kind=Recorder,
    )


def _drive(sink: MqttSink, rate: float, seconds: float, outcome: Outcome) -> None:
    """Send at a steady rate."""
    started = time.monotonic()
    for item in rig.results(rate, seconds):
        before = time.monotonic()
        sink.send(item)
        outcome.slowest_send_ms = max(outcome.slowest_send_ms, 1e3 * (time.monotonic() - before))
        outcome.made += 1
    outcome.seconds = time.monotonic() - started


def _finish(sink: Recorder, meter: Meter, listener: Listener, outcome: Outcome, drain_s: float) -> None:
    rig.until(lambda: (now := sink.delivery()).queued + now.in_flight + now.spooled == 0, drain_s)
    sink.close()
    outcome.account = sink.delivery()
    outcome.acked = sink.acked
    outcome.received = listener.settle()
    outcome.stages = meter.take()


def restarts(
    folder: Path, *, number: int, count: int, rate: float, seconds: float, seed: int, spool: bool = True
) -> Outcome:
    """The broker is ended ``count`` times by the signal ``number``, at random moments, and started again."""
    chance = random.Random(seed)  # noqa: S311
    meter, outcome = Meter(), Outcome(boot_id=uuid4().hex)
    file = SpoolFile(folder / "spool.sqlite3") if spool else None
    with rig.Mosquitto(folder) as broker:
        listener = Listener(broker)
        sink = _sink(broker, meter, outcome.boot_id, spool=file)
        sink.open()
        sending = threading.Thread(target=_drive, args=(sink, rate, seconds, outcome))
        sending.start()
        begun = time.monotonic()
        for moment in sorted(chance.uniform(0.5, seconds - 1) for _ in range(count)):
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            broker.stop(number)
            time.sleep(chance.uniform(0, 0.5))
            broker.start()
            outcome.restarts += 1
        sending.join()
        _finish(sink, meter, listener, outcome, drain_s=60)
    return outcome


def freeze(folder: Path, *, rate: float, frozen_s: float, spool: bool, keepalive_s: int = 15) -> Outcome:
    """The broker stops to answer for ``frozen_s`` seconds, and then goes on."""
    meter, outcome = Meter(), Outcome(boot_id=uuid4().hex)
    file = SpoolFile(folder / "spool.sqlite3") if spool else None
    with rig.Mosquitto(folder) as broker:
        listener = Listener(broker)
        sink = _sink(broker, meter, outcome.boot_id, spool=file, keepalive_s=keepalive_s)
        sink.open()
        warm = 1.5
        sending = threading.Thread(target=_drive, args=(sink, rate, warm + frozen_s + 1.5, outcome))
        sending.start()
        time.sleep(warm)
        memory = Memory()
        broker.freeze()
        time.sleep(frozen_s)
        broker.thaw()
        sending.join()
        rig.until(lambda: (now := sink.delivery()).queued + now.in_flight + now.spooled == 0, 90)
        outcome.rss_growth_mb = memory.stop()
        _finish(sink, meter, listener, outcome, drain_s=1)
    return outcome


def killed(folder: Path, *, rate: float, outage_s: float) -> Outcome:
    """edged itself is killed while the broker is away; the next start finds what it had put on disk.

    ``made`` counts what the first start had made; what the second one makes is left out.
    """
    outcome = Outcome(boot_id=uuid4().hex)
    spool = folder / "spool.sqlite3"
    with rig.Mosquitto(folder) as broker:
        listener = Listener(broker)
        command = [sys.executable, __file__, str(broker.port), str(spool), outcome.boot_id, str(rate)]
        environment = os.environ | {"PYTHONPATH": str(Path(edged.__file__).parent.parent)}
        first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert first.stdout is not None
        first.stdout.readline()  # it publishes
        time.sleep(1)
        broker.stop()
        time.sleep(outage_s)
        first.send_signal(signal.SIGKILL)
        output, _ = first.communicate(timeout=10)
        outcome.made = int(output.split()[-1]) + 1 if output else 0
        broker.start()
        meter = Meter()
        sink = _sink(broker, meter, uuid4().hex, spool=SpoolFile(spool))
        sink.open()
        assert sink.delivery().recovered > 0
        _finish(sink, meter, listener, outcome, drain_s=60)
    return outcome


def _child(port: str, spool: str, boot_id: str, rate: str) -> None:
    """Publish until killed; say the seq of every message before it is made."""
    from edged.settings.broker import parse_url

    sink = rig.sink(
        rig.access(parse_url(f"mqtt://127.0.0.1:{port}")),
        rig.TOPICS,
        meter=Meter(),
        boot_id=boot_id,
        spool=SpoolFile(Path(spool)),
    )
    sink.open()
    for seq, item in enumerate(rig.results(float(rate), 3600)):
        print(seq, flush=True)
        sink.send(item)


if __name__ == "__main__":
    _child(*sys.argv[1:])
