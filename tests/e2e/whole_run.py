"""One run of the daemon over a file, with a subscriber, and what must be true of all that comes out of it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import av
import pytest
from daemon import PATIENCE_S, Daemon, until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rig import Received


class Heard(Protocol):
    """A subscriber to everything."""

    @property
    def received(self) -> Sequence[Received]:
        """All messages in order."""
        ...

    def on(self, topic: str) -> list[bytes]:
        """Payloads of one topic."""
        ...


BASE = "edged/lab1"
DETECTIONS = f"{BASE}/front/detections"
TICK_S = 1 / 90_000
"""The clock of the written video."""

COUNT = (
    *("ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets"),
    *("-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"),
)


@dataclass(frozen=True, slots=True)
class Film:
    """What a player makes of a video file."""

    times: list[float]
    """When each frame is shown, seconds since the first."""
    width: int
    height: int


def play(path: Path) -> Film:
    """Decode all of it."""
    times = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            assert frame.time is not None
            times.append(frame.time)
            width, height = frame.width, frame.height
            if frame.rotation % 180:
                width, height = height, width
    return Film([time - times[0] for time in times], width, height)


def packets(path: Path) -> int:
    """Frames as ffprobe counts them, which is none of our tools."""
    done = subprocess.run(
        [*COUNT, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return int(done.stdout.strip().strip(","))


def run(
    folder: Path, clip: Path, settings: Mapping[str, str], port: int, *, limit_s: float
) -> dict[str, Any]:
    """Run to the end of the clip; the last account of the frames."""
    complete = {
        "EDGED_SOURCE": str(clip),
        "EDGED_OUTPUT": str(folder / "out.mp4"),
        "EDGED_JSONL": str(folder / "lines.jsonl"),
        "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{port}",
        **settings,
    }
    with Daemon(folder, complete) as daemon:
        assert daemon.wait(limit_s) == 0, daemon.stderr[-3000:]
    assert "Traceback" not in daemon.stderr
    delivery = daemon.told("mqtt_delivery")[-1]
    assert delivery["closes"], delivery
    assert delivery["acknowledged"] + sum(delivery["dropped"].values()) == delivery["made"]
    assert set(delivery["dropped"]) <= {"superseded"}, "values may be overtaken by newer ones, frames may not"
    return daemon.ledger()


def check_messages(subscriber: Heard, count: int, model: str) -> list[dict[str, Any]]:
    """Every frame came in order, and the daemon said that it came and went; the messages."""
    until(lambda: subscriber.on(f"{BASE}/availability")[-1:] == [b"offline"], limit_s=PATIENCE_S)
    messages = [json.loads(payload) for payload in subscriber.on(DETECTIONS)]
    assert [message["seq"] for message in messages] == list(range(count))
    assert [message["frame_id"] for message in messages] == list(range(count))
    assert {message["model"] for message in messages} == {model}
    assert len({message["boot_id"] for message in messages}) == 1
    assert subscriber.on(f"{BASE}/availability") == [b"online", b"offline"]
    states = [json.loads(payload) for payload in subscriber.on(f"{BASE}/state")]
    assert states[-1]["lifecycle"] == "stopped"
    assert not any(state["degraded"] for state in states)
    timings = json.loads(subscriber.on(f"{BASE}/front/timings")[-1])
    assert timings["frames"] == {
        "captured": count,
        "inferred": count,
        "still": 0,
        "dropped": {},
        "in_flight": 0,
    }
    check_counts(subscriber, messages)
    return messages


def check_counts(subscriber: Heard, messages: list[dict[str, Any]]) -> None:
    """The last count of each label is of objects that were followed to the end, in the last two seconds."""
    last = [
        label
        for label, _ in {
            (found["label"].replace(" ", "_"), found["track"])
            for message in messages[-60:]
            for found in message["detections"]
            if found["track"] is not None
        }
    ]
    topics = {message.topic for message in subscriber.received if "/count/" in message.topic}
    for topic in topics:
        label = topic.rpartition("/")[2]
        assert int(subscriber.on(topic)[-1]) <= last.count(label), topic
    steady = {label for label in last if all(label in labels_of(message) for message in messages[-60:])}
    assert {f"{BASE}/front/count/{label}" for label in steady} <= topics


def labels_of(message: dict[str, Any]) -> set[str]:
    """What a frame shows, as levels of topics."""
    return {found["label"].replace(" ", "_") for found in message["detections"]}


def check_video(path: Path, source: Film) -> None:
    """Every frame of the source is in the video, at its time and in its size."""
    film = play(path)
    assert len(film.times) == len(source.times)
    assert (film.width, film.height) == (source.width + source.width % 2, source.height + source.height % 2)
    assert film.times == [pytest.approx(time, abs=1.01 * TICK_S) for time in source.times]


def check_lines(folder: Path, messages: list[dict[str, Any]]) -> None:
    """The lines say what the messages say."""
    text = (folder / "lines.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    for both in (lines, messages):
        for one in both:
            one.pop("ts_publish")
    assert lines == messages
