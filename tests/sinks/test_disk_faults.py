"""Disks that are full, read-only, gone or frozen: real ones, mounted for the test."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from daemon import Daemon
from film import complaints, lines, play, segments
from made import results
from recording import into_file, into_folder

from edged.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edged.records import Result
    from edged.sinks.video import VideoSink

MB = 1_000_000


def noise(seconds: float, *, start: float = 0.0) -> Iterator[Result]:
    """About half a megabyte a second of media time, as fast as it can be had."""
    return results(seconds, noise=True, start=start, size=(320, 240), fps=10)


def send(sink: VideoSink, stream: Iterator[Result], *, pace: float = 0.0) -> tuple[int, set[str]]:
    """How many results were taken, and why others were not."""
    taken, told = 0, set()
    for made in stream:
        try:
            sink.send(made)
        except SinkError as error:
            told.add(str(error))
        else:
            taken += 1
        time.sleep(pace)
    return taken, told


def send_until(sink: VideoSink, *, works: bool, start: float, seconds: float = 20.0) -> float:
    """Send until a result is taken, or is not; gives the media time reached."""
    deadline = time.monotonic() + seconds
    for made in noise(10_000, start=start):
        assert time.monotonic() < deadline
        try:
            sink.send(made)
        except SinkError:
            if not works:
                return made.frame.pts
        else:
            if works:
                return made.frame.pts
        time.sleep(0.02)
    raise AssertionError("there was nothing more to send")


def fill(path: Path) -> None:
    """Leave no room on a disk."""
    with suppress(OSError), path.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(1 << 16))


def check_all_play(folder: Path) -> None:
    """Every file that is there plays, and has its detections beside it."""
    for path in segments(folder):
        assert complaints(path) == ""
        assert len(lines(path)) == len(play(path).times)
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")]


def test_a_disk_of_20_mb_is_recorded_over_and_over(mounted: Callable[..., Path]) -> None:
    disk = mounted("disk", "-t", "tmpfs", "-o", "size=20m", "tmpfs")
    sink = into_folder(disk, length=2)
    sink.open()
    taken, told = send(sink, noise(100))
    sink.close()
    assert (taken, told) == (1000, set())
    found = segments(disk)
    assert sum(path.stat().st_size for path in found) > 10 * MB
    # The newest are there, without a gap, and the oldest are gone.
    frame_ids = [line["frame_id"] for path in found for line in lines(path)]
    assert frame_ids[0] > 100
    assert frame_ids == list(range(frame_ids[0], 1000))
    check_all_play(disk)


def test_a_disk_that_others_fill_is_told_and_taken_up_again(mounted: Callable[..., Path]) -> None:
    disk = mounted("disk", "-t", "tmpfs", "-o", "size=20m", "tmpfs")
    folder = disk / "video"
    sink = into_folder(folder, length=2)
    sink.open()
    reached = send_until(sink, works=True, start=0)
    fill(disk / "others")
    reached = send_until(sink, works=False, start=reached + 0.1)
    with pytest.raises(SinkError, match="No space left on device"):
        sink.send(next(noise(1, start=reached + 0.1)))
    (disk / "others").unlink()
    reached = send_until(sink, works=True, start=reached + 0.2)
    taken, told = send(sink, noise(4, start=reached + 0.1))
    sink.close()
    assert (taken, told) == (40, set())
    assert lines(segments(folder)[-1])[-1]["pts"] == pytest.approx(reached + 0.1 + 3.9, abs=1e-3)
    check_all_play(folder)


def test_one_file_goes_on_where_the_full_disk_has_stopped_it(mounted: Callable[..., Path]) -> None:
    disk = mounted("disk", "-t", "tmpfs", "-o", "size=4m", "tmpfs")
    path = disk / "out.mp4"
    (disk / "others").write_bytes(bytes(2 * MB))
    sink = into_file(path)
    sink.open()
    reached = send_until(sink, works=False, start=0)
    before = play(path)
    assert complaints(path) == ""
    (disk / "others").unlink()
    reached = send_until(sink, works=True, start=reached + 0.1)
    send(sink, noise(1, start=reached + 0.1))
    sink.close()
    film = play(path)
    # Nothing of what was there is lost, and what came later has its true time.
    assert film.times[: len(before.times)] == before.times
    assert film.times[-1] == pytest.approx(reached + 1.0, abs=0.01)
    assert complaints(path) == ""


def test_a_disk_that_turns_read_only_is_told_and_taken_up_again(mounted: Callable[..., Path]) -> None:
    disk = mounted("disk", "-t", "tmpfs", "-o", "size=50m", "tmpfs")
    sink = into_folder(disk / "video", length=2)
    sink.open()
    reached = send_until(sink, works=True, start=0)
    # A file that is open for writing keeps a disk from turning read-only; what is laid over it does not.
    folder = str(disk / "video")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], check=True)
    try:
        reached = send_until(sink, works=False, start=reached + 0.1)
        with pytest.raises(SinkError, match="Read-only file system"):
            sink.send(next(noise(1, start=reached + 0.1)))
    finally:
        subprocess.run(["umount", folder], check=True)
    reached = send_until(sink, works=True, start=reached + 0.2)
    taken, told = send(sink, noise(3, start=reached + 0.1))
    sink.close()
    assert (taken, told) == (30, set())
    check_all_play(disk / "video")


def test_a_disk_that_is_read_only_from_the_start_is_told_and_taken_up(mounted: Callable[..., Path]) -> None:
    """A worn SD card locks itself: the daemon starts all the same."""
    disk = mounted("disk", "-t", "tmpfs", "-o", "size=50m,ro", "tmpfs")
    sink = into_folder(disk / "video", length=2)
    sink.open()
    with pytest.raises(SinkError, match="Read-only file system"):
        sink.send(next(noise(1)))
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    reached = send_until(sink, works=True, start=1)
    assert send(sink, noise(3, start=reached + 0.1)) == (30, set())
    sink.close()
    check_all_play(disk / "video")


def test_a_disk_that_is_read_only_is_found_by_a_check(mounted: Callable[..., Path]) -> None:
    disk = mounted("disk", "-t", "tmpfs", "-o", "size=50m,ro", "tmpfs")
    sink = into_file(disk / "out.mp4")
    sink.open()
    with pytest.raises(SinkError, match="Read-only file system"):
        sink.close()


def test_what_must_stay_free_stays_free(mounted: Callable[..., Path]) -> None:
    disk = mounted("disk", "-t", "tmpfs", "-o", "size=20m", "tmpfs")
    sink = into_folder(disk, length=1, reserve=12 * MB)
    sink.open()
    least = shutil.disk_usage(disk).free
    for made in noise(20):
        sink.send(made)
        least = min(least, shutil.disk_usage(disk).free)
    sink.close()  # by then all is written: the disk's thread may be late
    least = min(least, shutil.disk_usage(disk).free)
    assert 12 * MB <= least < 14 * MB
    check_all_play(disk)


def test_a_disk_that_is_gone_is_taken_up_when_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "stick" / "video"
    sink = into_folder(folder, length=1)
    sink.open()
    reached = send_until(sink, works=True, start=0)
    (tmp_path / "stick").rename(tmp_path / "pulled out")
    # Something is in the way, or the folder would be made anew. (It may have been by now.)
    shutil.rmtree(tmp_path / "stick", ignore_errors=True)
    (tmp_path / "stick").write_text("no folder any more")
    reached = send_until(sink, works=False, start=reached + 0.1)
    (tmp_path / "stick").unlink()
    (tmp_path / "pulled out").rename(tmp_path / "stick")
    reached = send_until(sink, works=True, start=reached + 0.1)
    send(sink, noise(2, start=reached + 0.1))
    sink.close()
    check_all_play(folder)


def test_detection_goes_on_while_the_disk_is_frozen(
    mounted: Callable[..., Path], tmp_path: Path, demo_model: Path
) -> None:
    image = tmp_path / "image"
    with image.open("wb") as stream:
        stream.truncate(64 * MB)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    disk = mounted("disk", "-o", "loop", str(image))
    settings = {
        "EDGED_SOURCE": "synthetic:?width=160&height=120&fps=20",
        # Asked is whether the disk holds anybody up: a quick model, and no second thread, for which the first
        # would wait while others have the machine.
        "EDGED_MODEL": str(demo_model.with_name("face_detection_short_range.tflite")),
        "EDGED_THREADS": "1",
        "EDGED_OUTPUT": str(disk / "video"),
        "EDGED_SEGMENT": "1",
        "EDGED_DISK_FREE_GB": "0",
        "EDGED_LOG_FORMAT": "json",
    }
    with Daemon(tmp_path, settings) as daemon:
        daemon.until(lambda: len(segments(disk / "video")) >= 2)
        subprocess.run(["fsfreeze", "-f", str(disk)], check=True)
        try:
            # The queue in front of the disk takes 150 frames.
            daemon.until(lambda: "does not keep up" in daemon.stderr)
            time.sleep(1)
        finally:
            subprocess.run(["fsfreeze", "-u", str(disk)], check=True)
        daemon.until_told("sink_recovered")
        count = len(segments(disk / "video"))
        daemon.until(lambda: len(segments(disk / "video")) >= count + 2)
        assert daemon.stop(limit_s=30) == 0
    ledger = daemon.ledger()
    # Whom the disk held up would have missed most of it; a busy machine may miss some.
    assert ledger["inferred"] >= 0.75 * ledger["captured"]
    assert ledger["captured"] >= 15 * (ledger["seconds"] - 1)
    assert ledger["sinks"]["video"]["failed"] > 0
    check_all_play(disk / "video")
