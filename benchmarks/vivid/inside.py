"""What a real /dev/video0 goes through in front of the real pipeline; run by ``run.py`` inside its machine.

The driver is the kernel's own test camera (vivid): it makes pictures of its own and can drop buffers, fail a
stream for good and disconnect, all through the kernel's real Video4Linux code.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "sources"))
from fault_runs import Gauge, Outcome, Watched

from edged import __version__
from edged.errors import SourceError
from edged.settings.declared import Settings
from edged.sources import create
from edged.sources.v4l2 import V4l2Source

if TYPE_CHECKING:
    from collections.abc import Callable

DEVICE = "/dev/video0"
DRIVER = Path("/sys/bus/platform/drivers/vivid")
READ_S = 2.0
SLOW = 3.0
"""The machine is emulated: promises of time hold for real ones."""


def camera(**settings: object) -> V4l2Source:
    """A source as the settings make it, small enough for an emulated processor."""
    chosen = {"camera_size": "320x180", "read_timeout": READ_S, "open_timeout": 30} | settings
    made = create(Settings(source=DEVICE, model=Path("none.tflite"), **chosen))  # type: ignore[arg-type]
    assert isinstance(made, V4l2Source)
    return made


def control(name: str, value: int = 1) -> None:
    """Set one of the driver's controls; the error injections are among them."""
    subprocess.run(["v4l2-ctl", "-d", DEVICE, "-c", f"{name}={value}"], check=True)


def plug(*, there: bool) -> None:
    """Bind or unbind the driver."""
    (DRIVER / ("bind" if there else "unbind")).write_text("vivid.0")


def normal() -> str:
    """Frames come in the size that was asked for, at the camera's rate, and all are accounted for."""
    with Watched(camera()) as run:
        run.until_frames(60, count=10)
        begun, had = time.monotonic(), run.sink.frames
        run.until_frames(60, count=100)
        rate = (run.sink.frames - had) / (time.monotonic() - begun)
        said = run.source.properties()
    assert run.closes
    assert run.sink.sizes == {(320, 180)}, run.sink.sizes
    assert run.source.reconnects == 0
    return f"{run.sink.frames} frames, {rate:.1f} a second, {said}, account closed"


def rotated_and_limited() -> str:
    """EDGED_ROTATE and EDGED_FPS hold for a camera."""
    with Watched(camera(rotate=90, fps=5)) as run:
        run.until_frames(60, count=10)
        skipped = run.source.skipped["rate"]
    assert run.sink.sizes == {(180, 320)}
    assert skipped > 0
    return f"{run.sink.frames} frames of 180x320, {skipped} skipped by rate"


def what_the_camera_cannot_give() -> str:
    """A pixel format that the camera lacks is told in the log, and the camera's own is used."""
    with Watched(camera(camera_format="MJPG")) as run:
        run.until_frames(60, count=5)
        said = run.source.properties()
    assert said["codec"] != "MJPG"
    return f"asked for MJPG, given {said['codec']}"


def in_use() -> str:
    """A camera that another program streams from is refused with what to look after."""
    with Watched(camera()) as run:
        run.until_frames(60, count=3)
        second = camera(open_timeout=20)
        begun = time.monotonic()
        try:
            second.open()
        except SourceError as error:
            return f"refused after {time.monotonic() - begun:.1f} s: {error}"
        finally:
            second.close()
    raise AssertionError("the camera was opened twice")


def streaming_error() -> str:
    """The stream fails for good: it is noticed, the device opened again, frames come."""
    return _fault(lambda: control("inject_fatal_streaming_error"), lambda: None)


def silent() -> str:
    """The driver fills no buffer any more: the deadline passes; when it does again, frames come."""
    return _fault(
        lambda: control("percentage_of_dropped_buffers", 100),
        lambda: control("percentage_of_dropped_buffers", 0),
        away_s=6,
    )


def clock_jumps() -> str:
    """The wall clock is set a day ahead and back again: frames keep coming, in order, none too old."""
    with Watched(camera()) as run:
        run.until_frames(60, count=10)
        for day in (1, -1):
            time.clock_settime(time.CLOCK_REALTIME, time.time() + 86400 * day)
            run.until_frames(60, count=20)
    assert run.closes
    assert run.source.reconnects == 0
    assert run.sink.longest_gap_s < READ_S
    assert "stale" not in run.counts.dropped
    return f"{run.sink.frames} frames, no loss, longest gap {run.sink.longest_gap_s:.2f} s"


def half_of_all_buffers() -> str:
    """A camera that loses every other picture is slow, not lost."""
    control("percentage_of_dropped_buffers", 50)
    try:
        with Watched(camera()) as run:
            run.until_frames(60, count=40)
    finally:
        control("percentage_of_dropped_buffers", 0)
    assert run.source.reconnects == 0
    assert run.closes
    return f"{run.sink.frames} frames, no loss"


def disconnected() -> str:
    """The cable is pulled and put in again: the device goes, comes back, and so do the frames."""

    def back() -> None:
        plug(there=False)
        plug(there=True)

    return _fault(lambda: control("disconnect"), back, away_s=4)


def unplugged() -> str:
    """The driver is taken away under a running stream, and comes back."""
    return _fault(lambda: plug(there=False), lambda: plug(there=True), away_s=4)


def disconnected_twenty_times() -> str:
    """Twenty times: no thread or descriptor more."""
    outcome = Outcome()
    with Watched(camera()) as run:
        run.until_frames(60, count=5)
        gauge = Gauge()
        for _ in range(20):
            plug(there=False)
            run.until_lost(READ_S * SLOW + 5)
            plug(there=True)
            outcome.back_s.append(run.until_frames(60, count=1))
        gauge.read(outcome)
    assert run.closes
    assert outcome.threads <= 0
    assert outcome.descriptors <= 0
    return (
        f"back after {max(outcome.back_s):.1f} s at the most, threads {outcome.threads:+}, "
        f"descriptors {outcome.descriptors:+}, RSS {outcome.rss_mb:+.1f} MB"
    )


def stop_while_silent() -> str:
    """A read that is under way does not hold up the exit."""
    run = Watched(camera())
    with run:
        run.until_frames(60, count=3)
        control("percentage_of_dropped_buffers", 100)
        time.sleep(1)
        begun = time.monotonic()
    took = time.monotonic() - begun
    control("percentage_of_dropped_buffers", 0)
    assert run.closes
    assert took < 3 * SLOW
    while any(thread.name == "camera" for thread in threading.enumerate()):
        time.sleep(0.1)  # the one that was left behind gives the device back when its read returns
    return f"everything ended after {took:.1f} s"


def _fault(breaks: Callable[[], None], hints: Callable[[], None], *, away_s: float = 0.0) -> str:
    with Watched(camera()) as run:
        run.until_frames(60, count=10)
        breaks()
        noticed = run.until_lost(READ_S * SLOW + 5)
        problem = run.source.problem
        time.sleep(away_s)
        hints()
        back = run.until_frames(60, count=10)
    assert run.closes, run.failure
    assert run.source.reconnects >= 1
    return f"noticed after {noticed:.1f} s ({problem}); back after {back:.1f} s; account closed"


RUNS = (
    normal,
    rotated_and_limited,
    what_the_camera_cannot_give,
    in_use,
    clock_jumps,
    half_of_all_buffers,
    streaming_error,
    silent,
    stop_while_silent,
    disconnected,
    unplugged,
    disconnected_twenty_times,
)


def main() -> None:
    """Run everything; a failure does not keep back the rest."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    kernel = Path("/proc/version").read_text().split()[2]
    print(f"edged {__version__}, Python {sys.version.split()[0]}, kernel {kernel}")
    failed = 0
    for run in RUNS:
        begun = time.monotonic()
        try:
            found = run()
        except Exception:  # noqa: BLE001  # shown, counted
            failed += 1
            print(f"FAILED {run.__name__}\n{traceback.format_exc()}", flush=True)
        else:
            print(
                f"ok     {run.__name__.replace('_', ' ')} ({time.monotonic() - begun:.0f} s): {found}",
                flush=True,
            )
    print(f"{len(RUNS) - failed} of {len(RUNS)} as promised")


if __name__ == "__main__":
    main()
