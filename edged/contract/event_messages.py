"""The message of one event: news of one object, from its coming to its going."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from edged.contract.payloads import (
    SCHEMA,
    BootId,
    CameraName,
    FinerLabel,
    ImageSize,
    Natural,
    Timestamp,
    Version,
    encode,
)

if TYPE_CHECKING:
    from edged.records import Event


Moment = Annotated[str, Field(description="ISO 8601, UTC", pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


def moment(ts: float) -> bytes:
    """A time, UTC in seconds since the epoch, as it is published by itself."""
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


class LineCrossing(TypedDict):
    """A line that an object has crossed."""

    line: str
    direction: Literal["in", "out"]


class EventMessage(TypedDict):
    """News of one object. An event has one ``start``, any number of ``update`` and one ``end``."""

    schema: Version
    camera: CameraName
    boot_id: BootId
    type: Literal["start", "update", "end"]
    event_id: Annotated[str, Field(description="the same from start to end, and of no other object")]
    ts: Annotated[float, Field(description="UTC of the frame that brought the news, seconds since the epoch")]
    label: str
    sub_label: NotRequired[FinerLabel]
    sub_score: NotRequired[Annotated[float, Field(ge=0, le=1)]]
    track: Natural
    score: Annotated[float, Field(ge=0, le=1)]
    top_score: Annotated[float, Field(ge=0, le=1)]
    box: Annotated[list[float], Field(min_length=4, max_length=4, description="as in detections")]
    best_box: Annotated[list[float], Field(min_length=4, max_length=4, description="in the best picture")]
    image: ImageSize
    area: Annotated[float, Field(ge=0, le=1, description="part of the frame that the box covers")]
    start_time: Timestamp
    end_time: Annotated[float | None, Field(description="when it was last seen; null before the end")]
    duration_s: Annotated[float, Field(ge=0)]
    stationary: bool
    current_zones: list[str]
    entered_zones: Annotated[list[str], Field(description="in the order of first entering")]
    dwell_s: Annotated[dict[str, float], Field(description="seconds in each zone entered")]
    lines: Annotated[list[LineCrossing], Field(description="in the order of crossing, the last 200")]
    path: Annotated[list[list[float]], Field(description="places x, y as fractions of the frame")]
    changes: Annotated[
        list[str],
        Field(
            description="why it is told: zone_entered:NAME, zone_left:NAME, line_crossed:NAME:in or :out, "
            "stationary, moving, picture (a better one; at most once a second by itself), alive"
        ),
    ]
    ended_by: Annotated[
        Literal["", "left", "lost", "reload", "stop"], Field(description="empty before the end")
    ]
    calm: NotRequired[
        Annotated[bool, Field(description="false over MQTT for what comes faster than a recorder bears")]
    ]


class Telling(NamedTuple):
    """An event as it is told: its message, which nobody changes, and the JSON of it."""

    message: EventMessage
    json: bytes


def telling(message: EventMessage) -> Telling:
    """A message with its JSON."""
    return Telling(message, encode(message))


def told(news: Event, *, camera: str, boot_id: str) -> Telling:
    """An event as it is told: made when first asked for, and shared by all who tell it.

    Two threads that come at once make the same twice: that costs less than a lock.
    """
    key = camera, boot_id
    known: Telling | None = news.tellings.get(key)
    if known is None:
        known = news.tellings[key] = telling(event(news, camera=camera, boot_id=boot_id))
    return known


def event(news: Event, *, camera: str, boot_id: str) -> EventMessage:
    """The message of one event."""
    x1, y1, x2, y2 = news.box
    message: EventMessage = {
        "schema": SCHEMA,
        "camera": camera,
        "boot_id": boot_id,
        "type": news.kind,  # type: ignore[typeddict-item]  # the record's own words
        "event_id": news.event_id,
        "ts": round(news.ts, 6),
        "label": news.label,
        "track": news.track,
        "score": round(news.score, 4),
        "top_score": round(news.top_score, 4),
        "box": [round(corner, 2) for corner in news.box],
        "best_box": [round(corner, 2) for corner in news.best_box],
        "image": {"w": news.width, "h": news.height},
        "area": round((x2 - x1) * (y2 - y1) / (news.width * news.height), 6),
        "start_time": round(news.start_ts, 6),
        "end_time": None if news.end_ts is None else round(news.end_ts, 6),
        "duration_s": round(max(0.0, news.duration_s), 3),
        "stationary": news.stationary,
        "current_zones": list(news.zones),
        "entered_zones": list(news.entered_zones),
        "dwell_s": {zone: round(seconds, 3) for zone, seconds in news.dwell_s.items()},
        "lines": [
            {"line": line, "direction": direction}  # type: ignore[typeddict-item]
            for line, direction in news.lines
        ],
        "path": [list(point) for point in news.path],
        "changes": list(news.changes),
        "ended_by": news.ended_by,  # type: ignore[typeddict-item]
    }
    if news.sub_label:
        message["sub_label"] = news.sub_label
        message["sub_score"] = round(news.sub_score, 4)
    return message


def cut_short(last: EventMessage, *, boot_id: str) -> EventMessage:
    """The end of an event whose run was killed, after the last message of it; told by the next run."""
    end: EventMessage = {
        **last,
        "boot_id": boot_id,
        "type": "end",
        "end_time": last["ts"],
        "changes": [],
        "ended_by": "stop",
    }
    return end
