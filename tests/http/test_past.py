"""The events of the page after a restart, from the lines and pictures of the runs before."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from daemon import until
from made import START
from test_recordings import NAME, asked, event
from viewing import get, told

from edged import bridge
from edged.contract import event_messages
from edged.http.events import EventLog
from edged.http.past import Past
from edged.http.site import Site
from edged.settings.listener import parse
from edged.sinks.events import EventLinesSink
from edged.sinks.http import HttpSink
from edged.video.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path


def written(lines: Path, *, camera: str = "door") -> None:
    """What a run that was killed has left: 1 has ended in the porch, 2 has not."""
    sink = EventLinesSink(str(lines), boot_id="before", camera=camera)
    sink.open()
    sink.tell([event(1), event(2), event(1, "end", seen_s=5.0, zones=("porch",))])
    sink.close()


def page(lines: Path, folder: Path) -> HttpSink:
    archive = Archive(folder)
    past = Past(lines, "door", "now", archive)
    return HttpSink(Site(parse("127.0.0.1:0"), token=None), archive=archive, past=past)


def shown(sink: HttpSink) -> list[dict[str, Any]]:
    until(lambda: asked(sink, "/events.json")["events"])
    return list(asked(sink, "/events.json")["events"])


def test_events_of_the_run_before_are_there_with_picture_and_bars(tmp_path: Path) -> None:
    lines, picture = tmp_path / "events.jsonl", f"{NAME.removesuffix('.mp4')}.{1:016x}.jpg"
    written(lines)
    (tmp_path / picture).write_bytes(b"a picture")
    opened = page(lines, tmp_path)
    opened.open()
    try:
        first, second = shown(opened)
        assert (first["event_id"], first["end_time"], first["picture"]) == (f"{1:016x}", START + 6, True)
        assert first["dwell_s"] == {"porch": 2.0}
        assert (second["type"], second["end_time"], second["ended_by"]) == ("end", START + 2, "stop")
        assert not second["picture"]
        bars = asked(opened, "/events.json")["bars"]
        assert sorted((label, zone, count) for *_, label, zone, count in bars) == [
            ("car", "", 1),
            ("person", "", 1),
            ("person", "porch", 1),
        ]
        assert get(opened, f"/events/{1:016x}.jpg")[::2] == (200, b"a picture")
        (tmp_path / picture).unlink()  # for newer ones
        assert get(opened, f"/events/{1:016x}.jpg")[0] == get(opened, f"/events/{2:016x}.jpg")[0] == 404
        opened.tell([event(3)])
        assert [one["label"] for one in asked(opened, "/events.json")["events"]] == [
            "person",
            "car",
            "person",
        ]
    finally:
        opened.close()


def test_only_whole_lines_of_this_camera_count_and_what_this_run_knows_stays(tmp_path: Path) -> None:
    lines = tmp_path / "events.jsonl"
    written(lines, camera="yard")
    good = event_messages.event(event(5), camera="door", boot_id="now")
    wrong = {**good, "event_id": "6" * 16, "dwell_s": {"porch": "long"}}
    with lines.open("a") as stream:
        stream.writelines(json.dumps(one) + "\n" for one in (good, wrong, {"camera": "door"}, 7))
        stream.write('{"half')
    log = EventLog()
    log.take([dataclasses.replace(event(5), score=0.5, top_score=0.5), event(9)], told)
    Past(lines, "door", "now", None).tell(log)
    assert [(one["event_id"][-1], one["type"], one["top_score"]) for one in log.since(0)] == [
        ("5", "start", 0.5),
        ("9", "start", 0.9),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_time": math.nan},
        {"start_time": math.inf},
        {"start_time": True},
        {"top_score": math.nan},
        {"end_time": "soon"},
        {"dwell_s": {"porch": math.nan}},
        {"stationary": []},
    ],
)
def test_a_line_that_the_page_could_not_show_costs_nothing_else(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    lines = tmp_path / "events.jsonl"
    good = event_messages.event(event(1), camera="door", boot_id="now")
    lines.write_text("".join(json.dumps(one) + "\n" for one in ({**good, "event_id": "2", **wrong}, good)))
    log = EventLog()
    log.take([event(5)], told)
    Past(lines, "door", "now", None).tell(log)
    assert [one["event_id"][-1] for one in log.since(0)] == ["1", "5"]
    json.dumps(log.since(0), allow_nan=False)


def test_an_event_of_a_clock_that_was_wrong_does_not_push_out_the_bars_of_today(tmp_path: Path) -> None:
    lines = tmp_path / "events.jsonl"
    good = event_messages.event(event(1), camera="door", boot_id="now")
    future = {**good, "event_id": "2", "start_time": START + 9e8, "ts": START + 9e8}
    lines.write_text("".join(json.dumps(one) + "\n" for one in (good, future)))
    log = EventLog()
    Past(lines, "door", "now", None).tell(log)
    log.take([event(5), event(7)], told)
    assert sum(count for *_, count in log.bars()) == 2, "those of this run"
    lines.write_text("".join(json.dumps(one) + "\n" for one in (future, good)))
    log = EventLog()
    Past(lines, "door", "now", None).tell(log)
    log.take([event(5), event(7)], told)
    assert sum(count for *_, count in log.bars()) == 3


def test_a_line_of_many_zones_takes_no_time_worth_a_word(tmp_path: Path) -> None:
    """Each was compared with all others: 20 000 took minutes, in which no frame went on."""
    lines = tmp_path / "events.jsonl"
    good = event_messages.event(event(1), camera="door", boot_id="now")
    lines.write_text(json.dumps({**good, "entered_zones": [str(zone) for zone in range(20_000)]}) + "\n")
    log, began = EventLog(), time.monotonic()
    Past(lines, "door", "now", None).tell(log)
    assert time.monotonic() - began < 20
    assert len(log.bars()) == 20_001


def test_a_pipe_is_left_to_its_reader(tmp_path: Path) -> None:
    """Whoever writes into a pipe waits for its reader, and fails when that has gone."""
    lines, sink = tmp_path / "events.jsonl", EventLinesSink(str(tmp_path / "events.jsonl"), boot_id="now")
    os.mkfifo(lines)
    opening = bridge.start("writer", sink.open)
    Past(lines, "door", "now", None).tell(EventLog())
    opening.join(0.2)
    assert opening.is_alive(), "it has taken edged itself for the reader"
    with lines.open(encoding="utf-8") as reader:
        opening.join(10)
        sink.tell([event(1)])
        sink.close()
        assert json.loads(reader.read())["event_id"] == f"{1:016x}"


class Stuck(Archive):
    """A folder on a disk that does not answer until it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked, self.answers = threading.Event(), threading.Event()

    def pictures(self, event_ids: Container[str]) -> dict[str, str]:
        self.asked.set()
        self.answers.wait(60)
        return super().pictures(event_ids)


def test_nobody_waits_for_a_disk_that_does_not_answer(tmp_path: Path) -> None:
    lines, disk = tmp_path / "events.jsonl", Stuck(tmp_path)
    written(lines)
    opened = HttpSink(Site(parse("127.0.0.1:0"), token=None), past=Past(lines, "door", "now", disk))
    opened.open()
    try:
        assert disk.asked.wait(60)
        opened.tell([event(5)])
        assert len(asked(opened, "/events.json")["events"]) == 1
        disk.answers.set()
        until(lambda: len(asked(opened, "/events.json")["events"]) == 3)
    finally:
        disk.answers.set()
        opened.close()
