"""EDGED_OUTPUT as a file."""

from __future__ import annotations

import itertools
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from daemon import until
from film import complaints, play
from loaded import load
from made import START, result, results
from recording import into_file, record, video_sink

from edged.errors import ConfigError, SinkError
from edged.metrics import Meter
from edged.sinks import Context, NoControl
from edged.sinks.video import VideoSink
from edged.video.encoder import HARDWARE, SOFTWARE
from edged.video.recorder import FileRecorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edged.records import Result


def test_every_result_is_a_picture_at_its_true_time(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.05, 0.3, 0.9, 1.0, 1.5, 3.7, 3.71, 3.8]
    path = tmp_path / "out.mp4"
    record(into_file(path), (result(n, pts=pts, ts=START) for n, pts in enumerate(times)))
    film = play(path)
    assert film.codec == "h264"
    assert film.times == pytest.approx(times, abs=1e-4)
    assert complaints(path) == ""


def test_time_begins_with_the_first_result(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    record(into_file(path), results(2, start=7200.5))
    assert play(path).times == pytest.approx([n / 20 for n in range(40)], abs=1e-4)


@pytest.mark.parametrize("size", [(161, 121), (160, 121), (161, 120)])
def test_odd_sizes_become_even(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "out.mp4"
    record(into_file(path), results(0.5, size=size))
    film = play(path)
    assert (film.width, film.height) == (size[0] + size[0] % 2, size[1] + size[1] % 2)


def test_a_source_that_changes_its_size_goes_on_in_the_first_one(tmp_path: Path) -> None:
    def changing() -> Iterator[Result]:
        yield from results(1, size=(160, 120))
        yield from results(1, size=(320, 180), start=1)
        yield from results(1, size=(160, 120), start=2)

    path = tmp_path / "out.mp4"
    record(into_file(path), changing())
    film = play(path)
    assert (film.width, film.height, len(film.times)) == (160, 120, 60)
    assert complaints(path) == ""


def test_without_a_result_nothing_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    record(into_file(path), [])
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"precious")
    record(into_file(path), [])
    assert path.read_bytes() == b"precious"


def test_what_was_there_goes_only_when_there_is_something_better(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    sink = into_file(path)
    sink.open()
    for made in results(0.5):
        sink.send(made)
    assert path.read_bytes() == b"old"
    sink.close()
    assert len(play(path).times) == 10


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "out.mp4"
    link.symlink_to(tmp_path / "disk" / "real.mp4")
    record(into_file(link), results(0.5))
    assert link.is_symlink()
    assert len(play(tmp_path / "disk" / "real.mp4").times) == 10


@pytest.mark.parametrize("taken", ["device", "folder missing", "a file on the way"])
def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path, taken: str) -> None:
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "fifo.mp4")
    path = {
        "device": tmp_path / "fifo.mp4",
        "folder missing": tmp_path / "nowhere" / "out.mp4",
        "a file on the way": tmp_path / "file" / "out.mp4",
    }[taken]
    with pytest.raises(SinkError) as told:
        into_file(path).open()
    assert str(path) in str(told.value)
    assert told.value.exit_code == 73


def test_a_file_that_is_deleted_meanwhile_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = into_file(path)
    sink.open()
    made = results(8)
    for one in itertools.islice(made, 80):
        sink.send(one)
    until(path.exists)  # the disk's thread comes a little later
    path.unlink()
    for one in made:
        sink.send(one)
    sink.close()
    film = play(path)
    # It has the place in time of what it shows, without the beginning.
    assert film.times[-1] == pytest.approx(7.95, abs=0.01)
    assert complaints(path) == ""


def test_an_encoder_that_is_not_there_makes_way_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    record(video_sink(FileRecorder(path), codecs=(HARDWARE, SOFTWARE)), results(1))
    assert len(play(path).times) == 20


def test_the_only_encoder_that_is_not_there_is_an_error_a_result(tmp_path: Path) -> None:
    sink = video_sink(FileRecorder(tmp_path / "out.mp4"), codecs=("no_such_encoder",))
    sink.open()
    for made in results(0.2):
        with pytest.raises(SinkError, match="no_such_encoder"):
            sink.send(made)
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "events", "error"),
    [("out.avi", "false", SinkError), ("out.mp4", "true", ConfigError)],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, output: str, events: str, error: type[Exception]
) -> None:
    settings = load(EDGED_OUTPUT=str(tmp_path / output), EDGED_EVENTS=events)
    context = Context(Meter(), NoControl(), "b" * 32)
    with pytest.raises(error, match=r"out\.avi|EDGED_OUTPUT"):
        VideoSink.create(settings, context)


def test_latencies_are_measured(tmp_path: Path) -> None:
    meter = Meter()
    sink = VideoSink(FileRecorder(tmp_path / "out.mp4"), meter=meter, boot_id="b" * 32)
    record(sink, results(0.5))
    stages = meter.take()
    assert {name: stats.count for name, stats in stages.items()} == {"annotate": 10, "encode": 10}


@pytest.mark.parametrize("gap_h", [6.6, 6.7, 7, 30 * 24])
def test_a_long_gap_stays_as_long_as_it_was(tmp_path: Path, gap_h: float) -> None:
    """FFmpeg's muxer counts what one picture lasts in 31 bits: 6 h 37 min."""
    begins = [0.0, 3600 * gap_h, 2 * 3600 * gap_h]
    times = [begin + number / 10 for begin in begins for number in range(25)]
    path = tmp_path / "out.mp4"
    record(into_file(path), [result(n, pts=pts, ts=START + pts) for n, pts in enumerate(times)])
    assert play(path).times == pytest.approx(times, abs=1e-3)
    assert complaints(path) == ""
    probe = ["ffprobe", "-v", "error", "-show_entries", "frame=pts_time", "-of", "csv=p=0", str(path)]
    shown = subprocess.run(probe, check=True, capture_output=True, text=True).stdout.replace(",", "").split()
    assert [float(moment) for moment in shown] == pytest.approx(times, abs=1e-3)
