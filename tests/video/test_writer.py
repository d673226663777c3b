"""The thread that writes, and a disk that fails."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from edged.backoff import Backoff
from edged.video.encoder import Packet
from edged.video.recorder import FileRecorder
from edged.video.segments import Sample
from edged.video.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path

FULL = OSError(28, "No space left on device")


class Asked(Backoff):
    """Asks for no patience, and counts how often it was asked."""

    times = 0

    def after(self, good_s: float) -> float:
        self.times += 1
        return 0.0 * super().after(good_s)


class Failing(FileRecorder):
    """A disk that refuses three samples, and is well again when it is tried the n-th time after each."""

    def __init__(self, path: Path, needed: int) -> None:
        super().__init__(path)
        self.taken = threading.Event()
        self._refused = self._tries = 0
        self._needed = needed

    def take(self, sample: Sample) -> None:
        del sample
        if self._refused == 3:
            self.taken.set()
            return
        self._refused += 1
        raise FULL

    def probe(self) -> None:
        self._tries += 1
        if self._tries % self._needed:
            raise FULL


@pytest.mark.parametrize("tries", [1, 4])
def test_the_wait_grows_with_each_failure_and_not_with_a_try_that_went_well(
    tmp_path: Path, tries: int
) -> None:
    recorder, patience = Failing(tmp_path / "out.mp4", tries), Asked()
    writer = Writer(recorder, patience)
    for _ in range(4):
        writer.put(Sample(Packet(b"", 0, keyframe=True), 0.0, b"", seen=False), patience_s=10)
    writer.start()
    assert recorder.taken.wait(30)
    assert patience.times == 3 * tries
    assert writer.problem == ""
    writer.close(30)


def test_samples_come_together_before_the_thread_takes_them_and_an_end_waits_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.video.writer._GATHER_S", 600.0)
    taken: list[int] = []

    class Noting(FileRecorder):
        def take(self, sample: Sample) -> None:
            taken.append(sample.packet.pts)

    gathers = threading.Event()
    writer = Writer(Noting(tmp_path / "out.mp4"))
    wait = writer._closing.wait  # noqa: SLF001  # what it waits by

    def gather(most_s: float) -> bool:
        gathers.set()
        return wait(most_s)

    monkeypatch.setattr(writer._closing, "wait", gather)  # noqa: SLF001
    writer.start()
    assert gathers.wait(30)
    for number in range(5):
        writer.put(Sample(Packet(b"", number, keyframe=True), 0.0, b"", seen=False), patience_s=10)
    assert taken == []
    assert writer.close(30)
    assert taken == [0, 1, 2, 3, 4]
