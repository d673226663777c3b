"""A fleet on one broker: nodes as the real MQTT code makes them, without cameras and models.

Each node connects, announces itself to Home Assistant, publishes a detection every so often, counts and
events when somebody comes and goes, a picture a minute, and timings and state every ten seconds. Measured
are CPU and memory of the broker a node, and what a restart of the broker does: how the nodes come back,
and whether a message is lost::

    python benchmarks/fleet.py --nodes 100 400                # a minute or two each; needs mosquitto
    python benchmarks/fleet.py --nodes 1000 --every 5         # what two cores can be nodes for
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import psutil
import structlog
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "mqtt"))
import rig

from edged.contract.topics import Topics
from edged.metrics import Meter
from edged.records import Event
from edged.settings.broker import parse_url

if TYPE_CHECKING:
    from edged.records import Result
    from edged.sinks.mqtt import MqttSink

HERE = Path(__file__).parent
_A_PROCESS = 125
"""Nodes in one process: each has threads of its own."""
_REPORT_S = 10.0
_PICTURE_S = 60.0
_START_S = 600.0
_SCENE = np.random.default_rng(1).integers(0, 255, (45, 80, 3), np.uint8).repeat(8, 0).repeat(8, 1)
"""A picture of 640 x 360; its JPEG has some 40 kB."""


class Broker:
    """mosquitto, quiet: a log of everything would be most of its work."""

    def __init__(self, folder: Path) -> None:
        self.port = rig.free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\nuser root\n"
            f"persistence_location {folder}/\nlog_type error\nmax_queued_messages 0\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it listens when this returns."""
        self._process = self._begin()
        assert rig.until(lambda: _listens(self.port), 120)

    def stop(self) -> None:
        """End it as its service manager does."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def spent(self) -> tuple[float, float]:
        """CPU seconds and megabytes."""
        assert self._process is not None
        process = psutil.Process(self._process.pid)
        every = [process, *process.children(recursive=True)]
        times = [one.cpu_times() for one in every]
        return sum(one.user + one.system for one in times), sum(one.memory_info().rss for one in every) / 1e6

    def _begin(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([str(rig.MOSQUITTO), "-c", str(self._config)])


class RabbitMQ(Broker):
    """Debian's, in a folder of its own, where it listens for nobody else.

    ``mmdebstrap --include=rabbitmq-server trixie FOLDER`` makes the folder, ``unshare --net`` the loneliness.
    """

    def __init__(self, root: Path) -> None:
        self.port = rig.free_port()
        self._root = root
        self._process = None
        settings = root / "etc/rabbitmq"
        (settings / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        (settings / "rabbitmq.conf").write_text(
            f"mqtt.listeners.tcp.1 = 127.0.0.1:{self.port}\nlisteners.tcp = none\n"
            "mqtt.allow_anonymous = true\nanonymous_login_user = guest\nanonymous_login_pass = guest\n"
            "log.console.level = error\n"
        )

    def _begin(self) -> subprocess.Popen[bytes]:
        server = next(self._root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
        environment = {
            "HOME": "/var/lib/rabbitmq",
            "PATH": "/usr/sbin:/usr/bin",
            "RABBITMQ_NODENAME": "fleet@localhost",
            # Erlang's own two ports, too, for this machine alone.
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        command = ["chroot", str(self._root), f"/{server.relative_to(self._root)}"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Ear:
    """Hears all nodes, with a session that outlives the broker."""

    port: int
    online: dict[str, float] = field(default_factory=dict)
    """When each node has last said so."""
    heard: set[tuple[str, int]] = field(default_factory=set)
    events: set[tuple[str, str]] = field(default_factory=set)
    pictures: int = 0
    messages: int = 0

    def __post_init__(self) -> None:
        self._ready = threading.Event()
        client = self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "ear", protocol=mqtt.MQTTv5)
        client.on_message = self._take
        client.on_connect = self._connected
        client.on_subscribe = lambda *_: self._ready.set()
        client.reconnect_delay_set(1, 1)
        lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # of paho
        lasting.SessionExpiryInterval = 3600
        client.connect("127.0.0.1", self.port, clean_start=False, properties=lasting)
        client.loop_start()
        assert self._ready.wait(20)

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe("edged/#", qos=1)

    def _take(self, _: Any, __: Any, message: mqtt.MQTTMessage) -> None:
        self.messages += 1
        if message.topic.endswith("/availability") and message.payload == b"online" and not message.retain:
            self.online[message.topic] = time.monotonic()
        elif message.topic.endswith("/detections"):
            content = json.loads(message.payload)
            self.heard.add((content["boot_id"], content["seq"]))
        elif message.topic.endswith("/events"):
            content = json.loads(message.payload)
            self.events.add((content["event_id"], content["type"]))
        elif message.topic.endswith("/snapshot"):
            self.pictures += 1

    def close(self) -> None:
        """Hear no more."""
        self._client.disconnect()
        self._client.loop_stop()


def nodes(port: int, first: int, count: int, every_s: float) -> None:
    """Be so many nodes until standard input ends; then print what each has made, and the account of all."""
    # Nobody reads what they say, and a pipe that is full would stop them.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    broker = parse_url(f"mqtt://127.0.0.1:{port}")
    sinks: list[tuple[MqttSink, Meter]] = []
    for number in range(first, first + count):
        topics, meter = Topics("edged", f"node{number}", "camera"), Meter()
        target = rig.access(broker, client_id=f"edged-node{number}", keepalive_s=60)
        one = rig.sink(
            target, topics, meter=meter, boot_id=uuid4().hex, discovery=True, tracks=True,
            snapshot_interval_s=_PICTURE_S,
        )  # fmt: skip
        one.open()
        one.state(rig.state())
        sinks.append((one, meter))
    ended = threading.Event()
    threading.Thread(target=_until_closed, args=(ended,), daemon=True).start()  # no part of edged
    begun, made, told = time.monotonic(), 0, 0
    reports = max(round(_REPORT_S / every_s), 1)
    while not ended.is_set():
        for place, (one, meter) in enumerate(sinks):
            ended.wait(max(0.0, begun + (made + place / count) * every_s - time.monotonic()))
            there = made // 3 % 3 == 0
            one.send(_result(made, there=there))
            if made % 3 == 0 and made // 3 % 3 < 2:
                told += 1
                one.tell([_news(f"{first + place:08x}{made // 9:08x}", "start" if there else "end")])
            if made % reports == place % reports:
                one.report(rig.report(meter))
        made += 1
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda pair: pair[0].close(), sinks))
    accounts = [one.delivery() for one, _ in sinks]
    print(
        json.dumps(
            {
                "detections": made * count,
                "events": told,
                "acknowledged": sum(one.acknowledged for one in accounts),
                "dropped": sum(sum(one.dropped.values()) for one in accounts),
                "open": sum(not one.closes for one in accounts),
            }
        )
    )


def _result(number: int, *, there: bool) -> Result:
    """What a frame gives on which there is somebody or nobody."""
    small = rig.result(number, *((rig.PERSON,) if there else ()))
    return dataclasses.replace(small, picture=lambda: _SCENE)


def _news(event_id: str, kind: str) -> Event:
    """Somebody has come, or gone."""
    now, box = time.time(), rig.PERSON.box
    ended = now if kind == "end" else None
    return Event(
        kind, event_id, (), "left" if ended else "", 1, "person", 0.9, 0.9, box, box, 64, 48, now, now, ended,
        1.0, False, (), (), {}, (), (), None,
    )  # fmt: skip


def _until_closed(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


@dataclass
class Figures:
    """What was measured."""

    nodes: int
    rss_mb: float
    rss_node_kb: float
    cpu_percent: float
    cpu_message_us: float
    messages_s: float
    first_back_s: float
    half_back_s: float
    all_back_s: float
    detections: int
    events: int
    pictures: int
    lost: int
    """Detections and events."""
    dropped: int


def run(count: int, every_s: float, window_s: float, rabbitmq: Path | None) -> Figures:
    """One fleet from its start to its end."""
    with tempfile.TemporaryDirectory() as scratch:
        broker = Broker(Path(scratch)) if rabbitmq is None else RabbitMQ(rabbitmq)
        broker.start()
        ear = Ear(broker.port)
        _, empty_mb = broker.spent()
        command = [sys.executable, __file__, "--be", str(broker.port)]
        environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
        children = [
            subprocess.Popen(
                [*command, str(first), str(min(_A_PROCESS, count - first)), str(every_s)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
            )
            for first in range(0, count, _A_PROCESS)
        ]  # fmt: skip
        try:
            assert rig.until(lambda: len(ear.online) == count, _START_S), f"{len(ear.online)} of {count} came"
            time.sleep(_REPORT_S)
            cpu, _ = broker.spent()
            messages, begun = ear.messages, time.monotonic()
            time.sleep(window_s)
            took = time.monotonic() - begun
            cpu_after, rss_mb = broker.spent()
            flowed = ear.messages - messages
            ear.online.clear()
            broker.stop()
            time.sleep(1)
            broker.start()
            up = time.monotonic()
            assert rig.until(lambda: len(ear.online) == count, _START_S), f"{len(ear.online)} of {count} back"
            back = sorted(when - up for when in ear.online.values())
            time.sleep(_REPORT_S)
            told = [json.loads(child.communicate(timeout=_START_S)[0].splitlines()[-1]) for child in children]
            made, events = (sum(one[what] for one in told) for what in ("detections", "events"))
            rig.until(lambda: len(ear.heard) + len(ear.events) >= made + events, 30)
        finally:
            for child in children:
                child.kill()
            ear.close()
            broker.stop()
    spent = cpu_after - cpu
    # Each message comes in once and goes out once, to the only subscriber.
    return Figures(
        count, rss_mb, 1000 * (rss_mb - empty_mb) / count, 100 * spent / took, 1e6 * spent / max(flowed, 1),
        flowed / took, back[0], back[len(back) // 2], back[-1], made, events, ear.pictures,
        made + events - len(ear.heard) - len(ear.events), sum(one["dropped"] for one in told),
    )  # fmt: skip


def table(every: list[Figures]) -> str:
    """The figures as a page."""
    names = ("nodes", "messages/s", "broker CPU", "CPU a message", "RSS", "RSS a node",
             "first, half, all back", "detections", "events", "pictures", "lost")  # fmt: skip
    lines = [f"| {' | '.join(names)} |", f"|{' ---: |' * len(names)}"]
    lines += [
        f"| {one.nodes} | {one.messages_s:.0f} | {one.cpu_percent:.1f} % | {one.cpu_message_us:.0f} us "
        f"| {one.rss_mb:.1f} MB | {one.rss_node_kb:.0f} kB "
        f"| {one.first_back_s:.1f}, {one.half_back_s:.1f}, {one.all_back_s:.1f} s "
        f"| {one.detections} | {one.events} | {one.pictures} | {one.lost} |"
        for one in every
    ]
    return "\n".join(lines)


def main() -> int:
    """Run fleets of the sizes that are asked for."""
    if sys.argv[1:2] == ["--be"]:
        port, first, count = map(int, sys.argv[2:5])
        nodes(port, first, count, float(sys.argv[5]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[200], metavar="N")
    parser.add_argument(
        "--window", type=float, default=20.0, metavar="SECONDS", help="how long CPU is measured"
    )
    parser.add_argument(
        "--every", type=float, default=1.0, metavar="SECONDS", help="between two detections of a node"
    )
    parser.add_argument("--rabbitmq", type=Path, metavar="FOLDER", help="a Debian with it, for mosquitto")
    options = parser.parse_args()
    every = [run(count, options.every, options.window, options.rabbitmq) for count in options.nodes]
    print(table(every))
    return 1 if any(one.lost or one.dropped for one in every) else 0


if __name__ == "__main__":
    raise SystemExit(main())
