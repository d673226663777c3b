"""What has been: events, their pictures, and the video of a moment, as visitors get them."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor  # not in the package
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import viewing
from daemon import until
from made import START
from viewing import TOKEN, get, told

from edged.http.events import EventLog
from edged.http.site import Site
from edged.metrics import Meter
from edged.records import Box, Event
from edged.settings.listener import parse
from edged.settings.loading import load
from edged.sinks import Context, EventTaker, NoControl, create
from edged.sinks.http import HttpSink
from edged.video.archive import Archive

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

NAME = "2026-11-23T03-01-22Z.mp4"
"""A segment that begins at START."""


def event(
    number: int, kind: str = "start", *, seen_s: float = 0.0, size: int = 0, zones: tuple[str, ...] = ()
) -> Event:
    crop = np.full((size // 2, size, 3), number % 256, np.uint8) if size else None
    return Event(
        kind=kind,
        event_id=f"{number:016x}",
        changes=(),
        ended_by="left" if kind == "end" else "",
        track=number,
        label="person" if number % 2 else "car",
        score=0.8,
        top_score=0.9,
        box=Box(0, 0, 10, 20),
        best_box=Box(0, 0, 10, 20),
        width=160,
        height=120,
        ts=START + number,
        start_ts=START + number,
        end_ts=START + number + 5 if kind == "end" else None,
        duration_s=seen_s,
        stationary=False,
        zones=zones,
        entered_zones=zones,
        dwell_s=dict.fromkeys(zones, 2.0),
        lines=(),
        path=((0.5, 0.5),),
        crop=crop,
    )


def serving(folder: Path | None = None, *, token: str | None = None) -> AbstractContextManager[HttpSink]:
    return viewing.serving(token=token, archive=None if folder is None else Archive(folder))


def asked(sink: HttpSink, path: str) -> Any:
    return json.loads(get(sink, path)[2])


def record(folder: Path, *, seconds: int = 60, fps: int = 25, begins: float = START) -> bytes:
    """A segment: here only its bytes count, and the lines beside it."""
    content = np.random.default_rng(1).bytes(1_000_000)
    (folder / NAME).write_bytes(content)
    # Media time runs half as fast as the clock here, as of a source that is slow to give frames.
    (folder / NAME).with_suffix(".jsonl").write_text(
        "".join(
            json.dumps({"ts_capture": begins + n / fps, "pts": 7 + n / fps / 2, "detections": []}) + "\n"
            for n in range(seconds * fps)
        )
    )
    return content


def test_events_come_with_their_picture_and_only_what_is_new_comes_again() -> None:
    with serving() as sink:
        sink.tell([event(1, size=400), event(2)])
        first = asked(sink, "/events.json")
        assert [(one["label"], one["type"], one["picture"]) for one in first["events"]] == [
            ("person", "start", True),
            ("car", "start", False),
        ]
        status, headers, body = get(sink, f"/events/{1:016x}.jpg")
        picture = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert (status, headers["Content-Type"], picture.shape) == (200, "image/jpeg", (120, 240, 3))
        assert get(sink, f"/events/{2:016x}.jpg")[0] == get(sink, "/events/0.jpg")[0] == 404

        again = asked(sink, f"/events.json?after={first['now']}")
        assert (again["events"], "bars" in again, again["began"]) == ([], False, first["began"])
        sink.tell([event(1, "end", seen_s=5.0, zones=("porch",))])
        (ended,) = asked(sink, f"/events.json?after={again['now']}")["events"]
        assert (ended["type"], ended["end_time"], ended["picture"]) == ("end", START + 6, True)
        assert (ended["entered_zones"], ended["dwell_s"]) == (["porch"], {"porch": 2.0})
        assert get(sink, f"/events/{1:016x}.jpg")[2] == body
        for wrong in ("nan", "x", "inf"):
            assert get(sink, f"/events.json?after={wrong}")[0] == 400


def test_the_message_of_an_event_is_made_once_for_all_who_tell_it(tmp_path: Path) -> None:
    environ = {"EDGED_SOURCE": "synthetic:", "EDGED_MODEL": "m.tflite", "EDGED_HTTP": "127.0.0.1:0"}
    settings = load(None, environ={**environ, "EDGED_EVENTS_JSONL": str(tmp_path / "events.jsonl")})
    one = event(1, size=64)
    takers = create(settings, Context(Meter(), NoControl(), "0" * 32))
    assert {taker.name for taker in takers} == {"http", "events"}
    for taker in takers:
        taker.open()
        assert isinstance(taker, EventTaker)
        taker.tell([one])
        taker.close()
    assert len(one.tellings) == 1


def test_the_list_is_bounded_and_the_bars_are_those_of_a_day() -> None:
    log = EventLog()
    for number in range(2000):
        log.take([event(number, size=64), event(number, "end", zones=("porch",))], told)
    assert [one["event_id"] for one in log.since(0)] == [f"{number:016x}" for number in range(1700, 2000)]
    assert log.picture(f"{0:016x}") is None
    assert log.picture(f"{1999:016x}")
    counts = {
        zone: sum(count for _, _, where, count in log.bars() if where == zone) for zone in ("", "porch")
    }
    assert counts == {"": 2000, "porch": 2000}
    log.take([event(86400 + 900)], told)
    assert sum(count for _, _, where, count in log.bars() if not where) < 1200


def test_pictures_are_encoded_once_an_event_and_only_small(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[tuple[int, ...]] = []
    real = cv2.imencode

    def counting(suffix: str, image: Any, options: Any) -> Any:
        encoded.append(image.shape)
        return real(suffix, image, options)

    monkeypatch.setattr(cv2, "imencode", counting)
    log = EventLog()
    log.take([event(1, size=1920)], told)
    log.take([event(1, "update", size=1920) for _ in range(20)], told)
    assert encoded == []
    log.take([event(1, "end")], told)
    assert encoded == [(120, 240, 3)]


@pytest.mark.parametrize(
    ("asks", "status", "part", "says"),
    [
        ("", 200, slice(None), None),
        ("bytes=0-", 206, slice(None), "bytes 0-999999/1000000"),
        ("bytes=10-19", 206, slice(10, 20), "bytes 10-19/1000000"),
        ("bytes=999990-2000000", 206, slice(999990, None), "bytes 999990-999999/1000000"),
        ("bytes=-100", 206, slice(-100, None), "bytes 999900-999999/1000000"),
        ("bytes=-5000000", 206, slice(None), "bytes 0-999999/1000000"),
        ("bytes=1000000-", 416, slice(0, 0), "bytes */1000000"),
        ("bytes=20-10", 416, slice(0, 0), "bytes */1000000"),
        ("bytes=-0", 416, slice(0, 0), "bytes */1000000"),
        ("bytes=a-b", 200, slice(None), None),
        ("bytes=0-1,5-6", 200, slice(None), None),
        ("bytes=-", 200, slice(None), None),
    ],
)
def test_video_is_sent_in_the_parts_that_are_asked_for(
    tmp_path: Path, asks: str, status: int, part: slice, says: str | None
) -> None:
    content = record(tmp_path)
    with serving(tmp_path) as sink:
        answer = get(sink, f"/video/{NAME}", **({"Range": asks} if asks else {}))
    assert answer[0] == status
    assert answer[2] == content[part]
    assert answer[1].get("Content-Range") == says
    assert (answer[1]["Content-Type"], answer[1]["Accept-Ranges"]) == ("video/mp4", "bytes")
    assert answer[1]["Cache-Control"] == "no-store"


def test_nothing_but_segments_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "video"
    folder.mkdir()
    record(folder)
    (tmp_path / NAME).write_text("outside")
    (folder / "holiday.mp4").write_text("of somebody else")
    (folder / "2026-11-23T03-02-22Z.mp4").symlink_to("/etc/passwd")
    (folder / "2026-11-23T03-03-22Z.mp4").mkdir()
    os.mkfifo(folder / "2026-11-23T03-04-22Z.mp4")
    with serving(folder) as sink:
        for path in (
            f"../{NAME}",
            f"..%2f{NAME}",
            f"%2e%2e/{NAME}",
            f"..%252f{NAME}",
            f"{NAME}%00",
            f"{NAME}/",
            f"{NAME}%0a",
            NAME.replace(".mp4", ".jsonl"),
            f".{NAME}.part",
            "holiday.mp4",
            "2026-11-23T03-02-22Z.mp4",
            "2026-11-23T03-03-22Z.mp4",
            "2026-11-23T03-04-22Z.mp4",
            "",
            "/etc/passwd",
        ):
            assert get(sink, f"/video/{path}")[0] == 404, path
        assert get(sink, f"/video/{NAME}")[0] == 200
    with serving(None) as sink:
        assert get(sink, f"/video/{NAME}")[0] == get(sink, f"/moment.json?at={START}")[0] == 404


def test_the_same_rules_of_access_hold(tmp_path: Path) -> None:
    record(tmp_path)
    paths = (
        f"/video/{NAME}",
        f"/moment.json?at={START}",
        "/events.json",
        "/events/1.jpg",
        "/setup.json",
        "/draw",
    )
    with serving(tmp_path, token=TOKEN) as sink:
        for path in paths:
            assert get(sink, path)[0] == 401, path
        assert get(sink, f"/video/{NAME}", Authorization=f"Bearer {TOKEN}")[0] == 200
    with serving(tmp_path) as sink:
        for path in paths:
            assert get(sink, path, Host="evil.example")[0] == 421, path


def test_a_moment_is_found_by_the_lines_beside_the_video(tmp_path: Path) -> None:
    record(tmp_path, seconds=1200)  # the lines are read from the middle on: they are larger than a block
    with serving(tmp_path) as sink:
        for after_s in (0.0, 0.5, 33.32, 600.0, 1199.0):
            found = asked(sink, f"/moment.json?at={START + after_s}")
            assert found["video"] == f"video/{NAME}"
            assert found["after_s"] == pytest.approx(after_s / 2, abs=0.03)
        for outside in (-1, 1300):
            assert asked(sink, f"/moment.json?at={START + outside}") == {"video": None}


def test_a_picture_that_came_in_the_second_before_its_segment_is_found(tmp_path: Path) -> None:
    """Of a camera's own packets: the segment is named after when the first was read, and it came sooner."""
    before, own = (tmp_path / f"2026-11-23T03-01-{second}Z.mp4" for second in (20, 22))
    for video, came in ((before, START - 1.94), (own, START - 0.06)):
        video.write_bytes(b"x")
        lines = ({"ts_capture": came + number / 25, "pts": 0, "at": number / 25} for number in range(45))
        video.with_suffix(".jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    archive = Archive(tmp_path)
    assert archive.find(START - 0.06) == (own.name, 0.0)
    assert archive.find(START - 0.02) == (own.name, 0.04)
    assert archive.find(START - 0.5) == (before.name, 1.44)


def test_files_that_are_not_whole_are_no_fault_of_ours(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    assert Archive(tmp_path / "gone").find(START) is None
    lines = (tmp_path / NAME).with_suffix(".jsonl")
    (tmp_path / NAME).write_bytes(b"x")
    assert archive.find(START) is None
    for content in ("", "nonsense\n", '{"pts": 1}\n', '{"ts_capture": 1', "[]\n"):
        lines.write_text(content)
        assert archive.find(START) is None, content
    (tmp_path / "2026-99-99T03-01-22Z.mp4").write_bytes(b"x")
    record(tmp_path)
    found = archive.find(START + 2)
    assert found is not None
    assert found[0] == NAME
    assert found[1] == pytest.approx(1.0)


class Hanging(Archive):
    """A folder on a disk that does not answer for a while."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked = 0
        self.answers = threading.Event()

    def find(self, ts: float) -> tuple[str, float] | None:
        self.asked += 1
        self.answers.wait(20)
        return super().find(ts)


def test_a_disk_that_hangs_holds_up_nobody_else_and_a_bounded_number_of_threads(tmp_path: Path) -> None:
    record(tmp_path)
    archive = Hanging(tmp_path)
    sink = HttpSink(Site(parse("127.0.0.1:0"), token=None), archive=archive)
    sink.open()
    try:
        with ThreadPoolExecutor(10) as visitors:  # not in the package
            path = f"/moment.json?at={START + 2}"
            asking = [visitors.submit(get, sink, path) for _ in range(10)]
            try:
                until(lambda: sum(one.done() for one in asking) == 4 and archive.asked == 6)
                assert [one.result()[0] for one in asking if one.done()] == [503] * 4
                assert get(sink, "/events.json")[0] == 200
            finally:
                archive.answers.set()
            assert sorted(one.result()[0] for one in asking) == [200] * 6 + [503] * 4
        assert get(sink, path)[0] == 200
    finally:
        sink.close()
