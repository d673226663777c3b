"""The oldest segments go first, and nothing that is not ours ever."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from film import segments
from hypothesis import given, settings
from hypothesis import strategies as st
from made import results
from recording import into_folder, record

from edged.video.encoder import SOFTWARE, Encoder
from edged.video.recorder import FolderRecorder
from edged.video.retention import Retention
from edged.video.segments import Sample, own_name

if TYPE_CHECKING:
    from collections.abc import Iterator

FOREIGN = ("holiday.mp4", "2026-11-23.mp4", "2026-11-23T03-01-22Z.mkv", "notes.jsonl", ".hidden", "x")


def store(folder: Path, name: str, size: int) -> None:
    """A sparse file."""
    with (folder / name).open("wb") as stream:
        stream.truncate(size)


def own_bytes(folder: Path) -> int:
    ours = [path.lstat() for path in folder.iterdir() if own_name(path.name)]
    return sum(found.st_size for found in ours if stat.S_ISREG(found.st_mode))


@dataclass(frozen=True)
class Append:
    """A piece for the segment that is being recorded."""

    size: int


@dataclass(frozen=True)
class Begin:
    """The next segment."""


stamps = st.integers(0, 300).map(lambda n: f"2026-11-23T03-{n // 60:02d}-{n % 60:02d}Z")
steps = st.lists(st.one_of(st.builds(Append, st.integers(1, 400)), st.just(Begin())), max_size=40)


@settings(max_examples=200, deadline=None)
@given(
    old=st.dictionaries(stamps, st.tuples(st.integers(0, 600), st.integers(0, 100)), max_size=12),
    foreign=st.dictionaries(st.sampled_from(FOREIGN), st.integers(0, 5000)),
    budget=st.integers(500, 3000),
    steps=steps,
)
def test_whatever_is_recorded_stays_within_the_budget_and_foreign_files_stay(
    old: dict[str, tuple[int, int]], foreign: dict[str, int], budget: int, steps: list[Append | Begin]
) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        for name, (video, lines) in old.items():
            store(folder, f"{name}.mp4", video)
            store(folder, f"{name}.jsonl", lines)
        for name, size in foreign.items():
            store(folder, name, size)
        (folder / "2026-11-23T03-09-09Z.mp4").mkdir()
        (folder / "2026-11-23T03-09-08Z.mp4").symlink_to("/etc/hostname")
        retention = Retention(folder, budget=budget, reserve=0)
        recorded: list[str] = []
        stored: list[str] = []
        current = 0
        for step in [Begin(), *steps]:
            if isinstance(step, Begin):
                recorded.append(f"2026-11-23T04-00-{len(recorded):02d}Z")
                current = 0
                retention.began(recorded[-1])
                continue
            retention.make_room(step.size)
            if not current:
                stored.append(recorded[-1])
            current += step.size
            store(folder, f"{recorded[-1]}.mp4", current)
            # Over the budget is at most the one segment that cannot go because it is being recorded.
            assert own_bytes(folder) <= max(budget, current)
        for name, size in foreign.items():
            assert (folder / name).stat().st_size == size
        assert (folder / "2026-11-23T03-09-09Z.mp4").is_dir()
        assert (folder / "2026-11-23T03-09-08Z.mp4").is_symlink()
        # What is left are the newest, without a gap, each with both of its files.
        everything = [*sorted(old), *stored]
        left = [name for name in everything if (folder / f"{name}.mp4").exists()]
        assert left == everything[len(everything) - len(left) :]
        for name in old:
            assert (folder / f"{name}.mp4").exists() == (folder / f"{name}.jsonl").exists()
    finally:
        shutil.rmtree(folder)


def test_the_disk_keeps_its_reserve_or_nothing_is_stored(tmp_path: Path) -> None:
    for minute in range(5):
        store(tmp_path, f"2026-11-23T03-{minute:02d}-00Z.mp4", 1000)
    free = shutil.disk_usage(tmp_path).free
    retention = Retention(tmp_path, budget=None, reserve=2 * free)
    retention.began("2026-11-23T04-00-00Z")
    with pytest.raises(OSError, match="EDGED_DISK_FREE_GB") as told:
        retention.make_room(100)
    assert told.value.errno == errno.ENOSPC
    assert segments(tmp_path) == []


def test_no_more_goes_than_is_missing(tmp_path: Path) -> None:
    for minute in range(5):
        store(tmp_path, f"2026-11-23T03-{minute:02d}-00Z.mp4", 1 << 40)
    free = shutil.disk_usage(tmp_path).free
    # By what the files say of themselves: the disk itself gives nothing back for sparse ones.
    retention = Retention(tmp_path, budget=None, reserve=free + (1 << 40) + (1 << 39))
    retention.began("2026-11-23T04-00-00Z")
    retention.make_room(100)
    assert [path.stem for path in segments(tmp_path)] == [
        "2026-11-23T03-02-00Z",
        "2026-11-23T03-03-00Z",
        "2026-11-23T03-04-00Z",
    ]


def test_what_is_missing_is_what_our_own_segments_would_not_give_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in range(2):
        store(tmp_path, f"2026-11-23T03-{minute:02d}-00Z.mp4", 1 << 40)
    store(tmp_path, "holiday.mp4", 1 << 40)
    free = shutil.disk_usage(tmp_path).free
    for more, missing in ((1, False), (3, True)):
        retention = Retention(tmp_path, budget=None, reserve=free + (more << 40))
        assert (retention.missing() > 0) is missing
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert Retention(tmp_path, budget=None, reserve=5 << 40).missing() == (3 << 40) - 1000
    assert len(list(tmp_path.iterdir())) == 3, "nothing is deleted to find it out"


def test_recordings_of_a_wrong_clock_go_first(tmp_path: Path) -> None:
    for name in ("2020-01-01T00-00-00Z", "2026-11-01T00-00-00Z", "2099-01-01T00-00-00Z"):
        store(tmp_path, f"{name}.mp4", 400)
    retention = Retention(tmp_path, budget=1000, reserve=0)
    retention.began("2026-11-02T00-00-00Z")
    retention.make_room(100)
    assert [path.stem for path in segments(tmp_path)] == ["2020-01-01T00-00-00Z", "2026-11-01T00-00-00Z"]
    retention.make_room(200)
    assert [path.stem for path in segments(tmp_path)] == ["2026-11-01T00-00-00Z"]


def test_what_others_have_deleted_is_no_error(tmp_path: Path) -> None:
    for minute in range(3):
        store(tmp_path, f"2026-11-23T03-{minute:02d}-00Z.mp4", 400)
    retention = Retention(tmp_path, budget=1000, reserve=0)
    retention.began("2026-11-23T04-00-00Z")
    (tmp_path / "2026-11-23T03-00-00Z.mp4").unlink()
    retention.make_room(500)
    assert [path.stem for path in segments(tmp_path)] == ["2026-11-23T03-02-00Z"]


@pytest.mark.parametrize("budget", [1_500_000, 4_000_000])
def test_a_recording_stays_within_its_budget(tmp_path: Path, budget: int) -> None:
    encoder = Encoder(SOFTWARE, 96, 72)
    recorder = FolderRecorder(
        tmp_path, Retention(tmp_path, budget=budget, reserve=0), length_s=3600, events=None
    )
    most = 0
    for made in results(30, noise=True, size=(96, 72)):
        for packet in encoder.encode(made.frame.image, made.frame.pts):
            recorder.take(Sample(packet, made.frame.ts_capture, b"{}\n", seen=False))
            most = max(most, own_bytes(tmp_path))
    recorder.close()
    assert budget / 2 < most <= budget
    assert own_bytes(tmp_path) <= budget
    assert len(segments(tmp_path)) >= 2


def test_what_each_segment_begins_with_is_within_the_budget_too(tmp_path: Path) -> None:
    """Some hundred bytes of each, which a small budget must not be passed by."""
    encoder = Encoder(SOFTWARE, 96, 72)
    samples = [
        Sample(packet, made.frame.ts_capture, b"{}\n", seen=False)
        for made in results(12, size=(96, 72))
        for packet in encoder.encode(made.frame.image, made.frame.pts)
    ]
    for budget in range(20_000, 30_000, 250):
        folder = tmp_path / str(budget)
        folder.mkdir()
        recorder = FolderRecorder(
            folder, Retention(folder, budget=budget, reserve=0), length_s=1, events=None
        )
        for sample in samples:
            recorder.take(sample)
            assert own_bytes(folder) <= budget
        recorder.close()
        assert own_bytes(folder) <= budget


def test_without_limits_everything_stays(tmp_path: Path) -> None:
    record(into_folder(tmp_path, length=1), results(10))
    assert len(segments(tmp_path)) == 10


def test_what_is_needed_counts_beside_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for minute in range(3):
        store(tmp_path, f"2026-11-23T03-{minute:02d}-00Z.mp4", 400)
    monkeypatch.setattr("edged.video.retention.shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    retention = Retention(tmp_path, budget=None, reserve=900)
    retention.began("2026-11-23T04-00-00Z")
    retention.make_room(100)
    assert len(segments(tmp_path)) == 3
    retention.make_room(101)
    assert len(segments(tmp_path)) == 2


def test_the_segment_that_is_being_recorded_stays_whatever_its_time(tmp_path: Path) -> None:
    """A clock that was set back makes it the oldest."""
    for minute in range(3):
        store(tmp_path, f"2026-11-23T03-{minute:02d}-00Z.mp4", 400)
    retention = Retention(tmp_path, budget=800, reserve=0)
    retention.began("2026-11-23T03-00-00Z")
    retention.make_room(400)
    assert [path.stem for path in segments(tmp_path)] == ["2026-11-23T03-00-00Z"]
    assert retention.delete_oldest() == 0


def test_a_link_in_the_place_of_a_video_is_neither_counted_nor_deleted(tmp_path: Path) -> None:
    """Whoever links into the folder wants to keep what the link shows, and the link."""
    film = tmp_path / "film.mp4"
    store(film.parent, film.name, 5000)
    folder = tmp_path / "out"
    folder.mkdir()
    store(folder, "2026-11-23T03-00-00Z.jsonl", 400)
    (folder / "2026-11-23T03-00-00Z.mp4").symlink_to(film)
    (folder / "2026-11-23T03-01-00Z.mp4").symlink_to(tmp_path / "gone")
    retention = Retention(folder, budget=500, reserve=0)
    retention.began("2026-11-23T04-00-00Z")
    retention.make_room(100)
    assert len(list(folder.iterdir())) == 3
    retention.make_room(100)
    assert sorted(path.name for path in folder.iterdir()) == [
        "2026-11-23T03-00-00Z.mp4",
        "2026-11-23T03-01-00Z.mp4",
    ]
    assert film.stat().st_size == 5000


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose own time is 14 hours ahead of UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "EAST-14")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_up_to_a_day_ahead_is_no_wrong_clock(tmp_path: Path) -> None:
    """The oldest go first, that of yesterday and that of tonight last."""
    names = [
        f"{day}T20-00-00Z" for day in ("2026-11-01", "2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25")
    ]
    for name in names:
        store(tmp_path, f"{name}.mp4", 400)
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
    retention = Retention(tmp_path, budget=2000, reserve=0, clock=lambda: noon)
    retention.began("2026-11-23T12-00-00Z")
    gone = []
    while retention.delete_oldest():
        gone.append(
            next(name for name in names if name not in gone and not (tmp_path / f"{name}.mp4").exists())
        )
    assert gone == [names[3], names[4], *names[:3]]


def test_pictures_go_with_their_segment_and_only_its_own(tmp_path: Path) -> None:
    event = "0123456789abcdef"
    for minute in range(2):
        store(tmp_path, f"2026-11-23T03-0{minute}-00Z.mp4", 400)
        store(tmp_path, f"2026-11-23T03-0{minute}-00Z.{event}.jpg", 50)
    store(tmp_path, "2026-11-23T03-00-00Z.holiday.jpg", 50)
    retention = Retention(tmp_path, budget=1000, reserve=0)
    retention.began("2026-11-23T04-00-00Z")
    assert retention.delete_oldest() == 450
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "2026-11-23T03-00-00Z.holiday.jpg",
        f"2026-11-23T03-01-00Z.{event}.jpg",
        "2026-11-23T03-01-00Z.mp4",
    ]


def test_a_single_byte_too_few_is_too_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.video.retention.shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    retention = Retention(tmp_path, budget=None, reserve=900)
    retention.began("2026-11-23T04-00-00Z")
    retention.make_room(100)
    with pytest.raises(OSError, match="EDGED_DISK_FREE_GB"):
        retention.make_room(101)


def test_what_vanishes_while_the_folder_is_read_hides_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in range(3):
        store(tmp_path, f"2026-11-23T03-0{minute}-00Z.mp4", 400)
    entries = sorted(os.scandir(tmp_path), key=lambda entry: entry.name)
    (tmp_path / entries[0].name).unlink()
    retention = Retention(tmp_path, budget=1000, reserve=0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", lambda _: nullcontext(entries))
        retention.began("2026-11-23T04-00-00Z")
    retention.make_room(500)
    assert [path.stem for path in segments(tmp_path)] == ["2026-11-23T03-02-00Z"]
