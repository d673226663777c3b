"""The events of the page after a restart, from the lines and pictures of the runs before."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING, Any

from daemon import until
from made import START
from test_recordings import NAME, asked, event, get

from edged.contract import happenings
from edged.http.events import EventLog
from edged.http.past import Past
from edged.http.site import Site
from edged.settings.listener import parse
from edged.sinks.events import EventLinesSink
from edged.sinks.http import HttpSink
from edged.video.archive import Archive

if TYPE_CHECKING:
    from pathlib import Path


def written(lines: Path, *, camera: str = "door") -> None:
    """Of a run that was killed: 1 has ended in the porch, 2 has not."""
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
    good = happenings.event(event(5), camera="door", boot_id="now")
    wrong = {**good, "event_id": "6" * 16, "dwell_s": {"porch": "long"}}
    with lines.open("a") as stream:
        stream.writelines(json.dumps(one) + "\n" for one in (good, wrong, {"camera": "door"}, 7))
        stream.write('{"half')
    log = EventLog()
    log.take([dataclasses.replace(event(5), score=0.5, top_score=0.5), event(9)], "")
    Past(lines, "door", "now", None).tell(log)
    assert [(one["event_id"][-1], one["type"], one["top_score"]) for one in log.since(0)] == [
        ("5", "start", 0.5),
        ("9", "start", 0.9),
    ]


def test_nobody_waits_for_a_disk_that_does_not_answer(tmp_path: Path) -> None:
    lines = tmp_path / "events.jsonl"
    os.mkfifo(lines)  # opening it waits until somebody writes
    opened = page(lines, tmp_path)
    opened.open()
    try:
        opened.tell([event(1)])
        assert len(asked(opened, "/events.json")["events"]) == 1
    finally:
        opened.close()
        os.close(os.open(lines, os.O_RDWR | os.O_NONBLOCK))
