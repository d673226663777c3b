"""EDGED_JSONL: one line a frame."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from daemon import Daemon
from made import START, results

from edged.errors import SinkError
from edged.sinks.jsonl import JsonlSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edged.records import Result


def sink_to(target: Path | str) -> JsonlSink:
    sink = JsonlSink(str(target), boot_id="b" * 32)
    sink.open()
    return sink


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_result_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = sink_to(path)
    for result in results(1, seen=lambda pts: pts >= 0.5):
        sink.send(result)
    sink.close()
    found = lines(path)
    assert [line["frame_id"] for line in found] == list(range(20))
    assert [line["seq"] for line in found] == list(range(20))
    assert [len(line["detections"]) for line in found] == [0] * 10 + [1] * 10
    assert found[10]["ts_capture"] == START + 0.5
    assert found[0]["image"] == {"w": 160, "h": 120}


def test_a_line_can_be_read_as_soon_as_it_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = sink_to(path)
    for number, result in enumerate(results(0.5)):
        sink.send(result)
        assert len(lines(path)) == number + 1
    sink.close()


def test_a_second_run_goes_on_behind_the_first(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for _ in range(2):
        sink = sink_to(path)
        for result in results(0.5):
            sink.send(result)
        sink.close()
    assert len(lines(path)) == 20


def test_without_a_result_there_is_no_file(tmp_path: Path) -> None:
    sink_to(tmp_path / "out.jsonl").close()
    assert list(tmp_path.iterdir()) == []


def test_standard_output_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    sink = sink_to("-")
    for result in results(0.2):
        sink.send(result)
    sink.close()
    assert len(out.getvalue().splitlines()) == 4


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="EDGED_JSONL") as told:
        sink_to(tmp_path / "nowhere" / "out.jsonl")
    assert told.value.exit_code == 73


@pytest.mark.parametrize("disk_is", ["read-only", "full"])
def test_a_faulty_disk_at_the_start_is_told_and_tried_again(
    mounted: Callable[..., Path], disk_is: str
) -> None:
    """As for video and the spool: a worn SD card is no reason not to detect."""
    options = "size=1m,ro" if disk_is == "read-only" else "size=1m,nr_inodes=1"
    disk = mounted("disk", "-t", "tmpfs", "-o", options, "tmpfs")
    path = disk / "out.jsonl"
    with pytest.raises(SinkError, match="cannot be written"):
        JsonlSink(str(path), boot_id="b" * 32).open()
    sink = JsonlSink(str(path), boot_id="b" * 32, forgiving=True)
    sink.open()
    many = list(results(1))
    for result in many[:5]:
        with pytest.raises(SinkError, match="Read-only" if disk_is == "read-only" else "No space left"):
            sink.send(result)
    subprocess.run(["mount", "-o", "remount,rw,nr_inodes=100", str(disk)], check=True)
    for result in many[5:]:
        sink.send(result)
    sink.close()
    assert [line["frame_id"] for line in lines(path)] == list(range(5, 20))


def test_the_daemon_starts_on_a_read_only_disk_and_is_not_reloaded_onto_one(
    mounted: Callable[..., Path], tmp_path: Path, demo_model: Path
) -> None:
    disk = mounted("disk", "-t", "tmpfs", "-o", "size=5m,ro", "tmpfs")
    other = mounted("other", "-t", "tmpfs", "-o", "size=5m,ro", "tmpfs")
    settings = {
        "EDGED_SOURCE": "synthetic:?width=160&height=120&fps=20",
        "EDGED_MODEL": str(demo_model),
        "EDGED_JSONL": str(disk / "out.jsonl"),
        "EDGED_LOG_FORMAT": "json",
    }
    with Daemon(tmp_path, settings) as daemon:
        assert "Read-only file system" in daemon.until_told("sink_failed")["error"]
        assert daemon.until_told("running")
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        daemon.until_told("sink_recovered")
        daemon.configure({**settings, "EDGED_JSONL": str(other / "out.jsonl")})
        daemon.send(signal.SIGHUP)
        assert "Read-only file system" in daemon.until_told("reload_refused")["error"]
        written = (disk / "out.jsonl").stat().st_size
        daemon.until(lambda: (disk / "out.jsonl").stat().st_size > written)
        assert daemon.stop() == 0
        taken = daemon.ledger()["sinks"]["jsonl"]
    assert taken["failed"] > 0
    assert len(lines(disk / "out.jsonl")) == taken["sent"]


def test_a_full_disk_costs_lines_and_never_half_of_one(mounted: Callable[..., Path]) -> None:
    disk = mounted("disk", "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    path = disk / "out.jsonl"
    sink = sink_to(path)
    others = disk / "others"
    taken: list[int] = []

    def send(stream: list[Result]) -> int:
        refused = 0
        for result in stream:
            try:
                sink.send(result)
            except SinkError:
                refused += 1
            else:
                taken.append(result.frame.frame_id)
        return refused

    many = list(results(30))
    assert send(many[:100]) == 0
    with suppress(OSError), others.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    assert send(many[100:400]) > 200
    others.unlink()
    time.sleep(0.01)
    assert send(many[400:]) == 0
    sink.close()
    assert [line["frame_id"] for line in lines(path)] == taken


@pytest.mark.parametrize("go", ["deleted", "renamed"])
def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path, go: str) -> None:
    """As logrotate does it."""
    path, old = tmp_path / "out.jsonl", tmp_path / "out.jsonl.1"
    sink = sink_to(path)
    many = list(results(1))
    for result in many[:10]:
        sink.send(result)
    path.unlink() if go == "deleted" else path.rename(old)
    for result in many[10:]:
        sink.send(result)
    sink.close()
    if go == "renamed":
        assert [line["frame_id"] for line in lines(old)] == list(range(10))
    assert [line["frame_id"] for line in lines(path)] == list(range(10, 20))
