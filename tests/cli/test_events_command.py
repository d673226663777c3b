"""``edged events`` says what has happened, from lines or from a broker; the lines hold every event once."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from daemon import EDGED, Daemon, edged, environment, until
from rig import Mosquitto, publish, validator

from edged.contract import event_messages, payloads, words
from edged.contract.event_lines import Tail, last, parsed
from edged.errors import SinkError
from edged.records import Box, Event
from edged.sinks.events import EventLinesSink

pytest_plugins = ("mqtt_fixtures",)


def event(kind: str, number: int = 1, *changes: str, ts: float = 1e9, label: str = "person") -> Event:
    ended = kind == "end"
    return Event(
        kind, f"event{number}", changes, "left" if ended else "", number, label, 0.8, 0.9,
        Box(10, 10, 30, 50), Box(10, 10, 30, 50), 640, 480, ts, 1e9, ts if ended else None, ts - 1e9, False,
        () if ended else ("porch",), ("porch",), {"porch": 3.0}, (("gate", "in"),), ((0.1, 0.2),),
    )  # fmt: skip


def message(*arguments: Any, camera: str = "front", **more: Any) -> bytes:
    return payloads.encode(event_messages.event(event(*arguments, **more), camera=camera, boot_id="0" * 32))


def test_lines_are_printed_as_a_person_reads_them_the_oldest_first(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    lines = [
        message("start"),
        message("update", 1, "zone_entered:porch", "line_crossed:gate:in", ts=1e9 + 5),
        message("update", 1, "picture", ts=1e9 + 6),
        message("update", 1, "alive", ts=1e9 + 66),
        message("end", ts=1e9 + 200),
        b"no event",
        b'{"type":"start"}',
        message("start").replace(b"1000000000.0", b"1e300"),
    ]
    first.write_bytes(b"\n".join(lines) + b"\n")
    second.write_bytes(message("start", 2, ts=1e9 + 100, label="cat\x1b[2J", camera="back") + b"\n")
    done = edged("events", str(first), str(second), settings={"TZ": "UTC"})
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "2001-09-09 01:46:40  front  person  has come, in porch",
        "2001-09-09 01:46:45  front  person  enters porch, crosses gate in",
        "2001-09-09 01:48:20  back  cat?[2J  has come, in porch",
        "2001-09-09 01:50:00  front  person  has left after 3 min 20 s; was in porch; crossed gate in",
    ]


def test_what_it_is_more_exactly_stands_behind_the_label(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    named = {**json.loads(message("start", label="bird")), "sub_label": "robin", "sub_score": 0.8}
    of_others = [{**named, "sub_label": 7}, {**named, "sub_label": "\x1b[2J"}]
    path.write_text("".join(json.dumps(one) + "\n" for one in [named, *of_others]))
    done = edged("events", str(path), settings={"TZ": "UTC"})
    assert done.stdout.splitlines() == [
        "2001-09-09 01:46:40  front  bird (robin)  has come, in porch",
        "2001-09-09 01:46:40  front  bird (?[2J)  has come, in porch",
    ]


def test_a_file_is_followed_while_it_grows_and_where_it_was_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    assert tail.read() == []
    path.write_bytes(message("start") + b"\n" + message("end")[:50])
    assert [one["type"] for one in tail.read()] == ["start"]
    with path.open("ab") as stream:
        stream.write(message("end")[50:] + b"\n")
    assert [one["type"] for one in tail.read()] == ["end"]
    path.rename(tmp_path / "events.jsonl.1")
    assert tail.read() == []
    path.write_bytes(message("start", 2) + b"\n")
    assert [one["event_id"] for one in tail.read()] == ["event2"]
    path.write_bytes(message("start", 3) + b"\n")  # emptied and begun anew, as copytruncate does it
    path.write_bytes(b"")
    assert tail.read() == []
    path.write_bytes(message("start", 4) + b"\n")
    assert [one["event_id"] for one in tail.read()] == ["event4"]
    tail.close()


def test_what_was_written_last_before_a_file_was_moved_away_is_told_before_what_follows(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(message("start") + b"\n")
    with contextlib.closing(Tail(path)) as tail:
        assert [one["type"] for one in tail.read()] == ["start"]
        with path.open("ab") as stream:
            stream.write(message("end") + b"\n")
        path.rename(tmp_path / "events.jsonl.1")
        path.write_bytes(message("start", 2) + b"\n")
        assert [(one["type"], one["event_id"]) for one in tail.read()] == [
            ("end", "event1"),
            ("start", "event2"),
        ]
        path.unlink()
        path.write_bytes(message("start", 3) + b"\n")  # a file system may give it the same number
        assert [one["event_id"] for one in tail.read()] == ["event3"]


def test_without_lines_the_broker_is_heard(mosquitto: Mosquitto) -> None:
    broker = {"EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}"}
    settings = broker | {"EDGED_SOURCE": "synthetic:", "EDGED_MODEL": "m.tflite", "TZ": "UTC"}
    done = edged("events", settings=settings)
    assert done.returncode == 78
    assert "Give --follow" in done.stderr
    process = subprocess.Popen(
        [*EDGED, "events", "--follow"],
        env=environment(**settings),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        until(lambda: "SUBSCRIBE" in mosquitto.log)
        publish(mosquitto.port, "edged/lab1/front/events", b"nonsense")
        publish(mosquitto.port, "edged/lab1/front/events", message("start"))
        assert process.stdout.readline() == "2001-09-09 01:46:40  front  person  has come, in porch\n"
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def test_nothing_to_read_is_told_with_what_to_set(tmp_path: Path) -> None:
    settings = {"EDGED_SOURCE": "synthetic:", "EDGED_MODEL": "m.tflite"}
    done = edged("events", settings=settings)
    assert (done.returncode, done.stdout) == (78, "")
    assert "Set EDGED_EVENTS_JSONL or EDGED_MQTT_URL" in done.stderr
    done = edged("events", settings=settings | {"EDGED_EVENTS_JSONL": str(tmp_path / "none.jsonl")})
    assert done.returncode == 69
    assert "none.jsonl' is not there" in done.stderr


def sink(path: Path, boot: str, camera: str = "front") -> EventLinesSink:
    made = EventLinesSink(str(path), boot_id=boot * 32, camera=camera)
    made.open()
    return made


def test_what_a_killed_run_has_left_open_ends_when_the_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    killed = sink(path, "1")
    killed.tell([event("start", 1), event("start", 2), event("end", 1)])
    other = sink(path, "1", camera="back")
    other.tell([event("start", 3)])
    reloaded = sink(path, "1")  # the run goes on, and with it the event
    reloaded.tell([event("update", 2, ts=1e9 + 7)])
    for _ in range(2):
        sink(path, "2").close()
    told = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [(one["type"], one["event_id"], one["ended_by"]) for one in told] == [
        ("start", "event1", ""),
        ("start", "event2", ""),
        ("end", "event1", "left"),
        ("start", "event3", ""),
        ("update", "event2", ""),
        ("end", "event2", "stop"),
    ]
    assert told[-1]["end_time"] == 1e9 + 7
    assert told[-1]["boot_id"] == "2" * 32


def test_a_line_that_was_cut_short_takes_no_other_with_it(tmp_path: Path) -> None:
    """A loss of power leaves half of a line, or zeros: the end that is owed is not written behind that."""
    path = tmp_path / "events.jsonl"
    for torn in (message("update")[:50], bytes(30)):
        path.write_bytes(message("start").replace(b"0" * 32, b"1" * 32) + b"\n" + torn)
        sink(path, "2").close()
        assert [one["type"] for one in last(path, 1 << 20)] == ["start", "end"]
        sink(path, "2").close()
        assert path.read_bytes().count(b"\n") == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_disk_that_is_full_at_the_start_keeps_nobody_from_detecting() -> None:
    """An end that is owed to a killed run cannot be written, and the start goes on."""
    left = event_messages.event(event("start"), camera="front", boot_id="1" * 32)

    class Left(EventLinesSink):
        def _left_open(self) -> list[event_messages.EventMessage]:
            return [left]

    with pytest.raises(SinkError, match="cannot be written: No space left"):
        Left("/dev/full", boot_id="2" * 32).open()
    forgiving = Left("/dev/full", boot_id="2" * 32, forgiving=True)
    forgiving.open()
    with pytest.raises(SinkError, match="No space left"):
        forgiving.tell([event("start", 2)])
    forgiving.close()


def test_a_file_that_cannot_be_read_is_told_as_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    path.touch()

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("edged.contract.event_lines.last", refused)  # root may read everything
    with pytest.raises(SinkError, match="cannot be read: Permission denied"):
        EventLinesSink(str(path), boot_id="2" * 32).open()
    EventLinesSink(str(path), boot_id="2" * 32, forgiving=True).open()


def test_the_lines_of_a_run_are_those_of_the_contract(
    demo_model: Path, demo_clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    settings = {
        "EDGED_SOURCE": str(demo_clip),
        "EDGED_MODEL": str(demo_model),
        "EDGED_EVENTS_JSONL": str(path),
    }
    with Daemon(tmp_path, settings) as daemon:
        assert daemon.wait() == 0
    told = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for one in told:
        validator("events").validate(one)
    kinds = [one["type"] for one in told]
    assert kinds.count("start") == kinds.count("end") > 0
    done = edged("events", "--env-file", str(daemon.env_file))
    printed = done.stdout.splitlines()
    assert sum("has come" in line for line in printed) == kinds.count("start")
    assert sum(" after " in line for line in printed) >= kinds.count("end")


@pytest.mark.parametrize("text", [b"[]", b"1", b"{}", b"\xff", b'{"type":1}', b"[" * 100_000])
def test_what_is_no_event_is_none(text: bytes) -> None:
    assert parsed(text) is None


@pytest.mark.parametrize("value", ["1e9", True, None, -1, 1e11, 10**400, float("nan")])
def test_what_is_no_time_makes_no_event(value: object) -> None:
    """Texts and truth values count as numbers in Python, and none of them can be said as a time."""
    content = json.loads(message("end"))
    assert parsed(json.dumps(content).encode()) is not None
    for name in ("ts", "duration_s"):
        assert parsed(json.dumps(content | {name: value}).encode()) is None


def test_a_line_that_was_crossed_before_an_object_counts_is_said_as_it_comes() -> None:
    said = parsed(message("start", 1, "line_crossed:gate:in", "zone_entered:porch"))
    assert said is not None
    assert words.sentence(said) == "has come, in porch, crosses gate in"


def test_of_many_crossings_the_last_are_said() -> None:
    """Who works at a gate all day: nobody reads hundreds, and Telegram takes no such caption."""
    said = parsed(message("end"))
    assert said is not None
    said["lines"] = [{"line": "gate", "direction": "in"}, {"line": "gate", "direction": "out"}] * 100
    last_ones = ", ".join(["gate in", "gate out"] * 4)
    assert words.sentence(said) == f"has left after 0 s; was in porch; crossed ..., {last_ones}"


def test_a_change_that_nobody_knows_is_said_as_it_is() -> None:
    """A newer edged may know more of them; none is an order."""
    said = parsed(message("update", 1, "{0.__class__}", "{x}:1", "zone_entered:{y}"))
    assert said is not None
    assert words.sentence(said) == "{0.__class__}, {x}, enters {y}"


def test_a_file_without_events_is_no_silence(tmp_path: Path) -> None:
    """Whoever names the wrong file would take it for a quiet night."""
    (tmp_path / "log.jsonl").write_text('{"event": "running"}\n', encoding="utf-8")
    (tmp_path / "new.jsonl").touch()
    done = edged("events", str(tmp_path / "log.jsonl"))
    assert done.returncode == 69
    assert "log.jsonl' has no events in it" in done.stderr
    done = edged("events", str(tmp_path / "new.jsonl"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
