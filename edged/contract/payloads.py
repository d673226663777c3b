"""What the messages say: one typed record a topic, and compact JSON of it.

The records are TypedDicts, plain dicts at run time: the frame path pays nothing for them, and the published
JSON Schema (:mod:`edged.contract.schema`) is generated from the same declarations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003  # the schema is generated from the annotations
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

if TYPE_CHECKING:
    from edged.metrics import Delivery, FrameCounts, StageStats
    from edged.records import Detection, Report, Result

SCHEMA: Literal[1] = 1
"""Version of the payloads: it rises when a field changes its meaning or goes; new fields do not raise it."""

Availability = Literal["online", "offline"]
Occupancy = Literal["ON", "OFF"]
Count = Annotated[int, Field(ge=0, description="objects of the label")]
Milliseconds = Annotated[float, Field(ge=0, description="milliseconds")]
Timestamp = Annotated[float, Field(description="UTC, seconds since the epoch")]
FinerLabel = Annotated[str, Field(description="what it is more exactly, as EDGED_CLASSIFY's model says")]
Natural = Annotated[int, Field(ge=0)]
Numbers2 = Annotated[list[float], Field(min_length=2, max_length=2)]
Numbers3 = Annotated[list[float], Field(min_length=3, max_length=3)]
Version = Annotated[Literal[1], Field(description="version of the payloads")]
CameraName = Annotated[str, Field(description="which camera of the node")]
Lifecycle = Literal["starting", "running", "paused", "stopping", "stopped"]
BootId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="one start of the daemon")]


class ImageSize(TypedDict):
    """Size of the source frame in pixels."""

    w: Annotated[int, Field(gt=0)]
    h: Annotated[int, Field(gt=0)]


class DetectionItem(TypedDict):
    """One object."""

    label: str
    class_id: Natural
    score: Annotated[float, Field(ge=0, le=1)]
    box: Annotated[
        list[float],
        Field(min_length=4, max_length=4, description="x1, y1, x2, y2 in pixels of the source frame"),
    ]
    track: Annotated[
        Natural | None, Field(description="id of the object over time; null before it was seen twice")
    ]
    keypoints: NotRequired[
        Annotated[
            list[Numbers3],
            Field(
                description="points of its pose, in the order of the model: x, y in pixels of the source "
                "frame, which may lie outside, and visibility, 0..1; only of models that give any"
            ),
        ]
    ]
    sub_label: NotRequired[FinerLabel]
    sub_score: NotRequired[Annotated[float, Field(ge=0, le=1)]]
    outline: NotRequired[
        Annotated[
            list[Numbers2],
            Field(
                description="polygon around it, corners x, y in pixels of the frame; of models that give "
                "any. An oriented box has its four corners here, which may lie outside the frame"
            ),
        ]
    ]


class Detections(TypedDict):
    """What was found in one frame."""

    schema: Version
    camera: CameraName
    boot_id: BootId
    seq: Annotated[
        int, Field(ge=0, description="counts these messages from 0 since the start: a gap is a loss")
    ]
    frame_id: Natural
    ts_capture: Timestamp
    ts_publish: Timestamp
    image: ImageSize
    model: str
    inferred: Annotated[
        bool,
        Field(description="false: nothing moved, the detections are those of the last frame the model saw"),
    ]
    detections: list[DetectionItem]
    timings_ms: Annotated[
        dict[str, Milliseconds], Field(description="time the frame spent in each stage, milliseconds")
    ]


class Stage(TypedDict):
    """Latency of one stage over the interval."""

    count: Natural
    p50_ms: Milliseconds
    p95_ms: Milliseconds
    p99_ms: Milliseconds
    max_ms: Milliseconds


class Frames(TypedDict):
    """The frame ledger since the start: ``captured = inferred + still + sum(dropped) + in_flight``."""

    captured: Natural
    inferred: Natural
    still: Annotated[int, Field(ge=0, description="frames in which nothing moved: not inferred, not dropped")]
    dropped: dict[str, Natural]
    in_flight: Annotated[int, Field(description="must not be negative; it is published as it was counted")]


class Messages(TypedDict):
    """The message ledger since the start.

    ``made + recovered = acknowledged + spooled + queued + in_flight + sum(dropped)``
    """

    made: Natural
    recovered: Annotated[
        int, Field(ge=0, description="found in the spool at the start, or when its disk came back")
    ]
    acknowledged: Annotated[int, Field(ge=0, description="QoS 1: by the broker; QoS 0: written to it")]
    spooled: Annotated[int, Field(ge=0, description="on disk now")]
    queued: Annotated[int, Field(ge=0, description="in memory, not yet sent")]
    in_flight: Annotated[int, Field(ge=0, description="in memory, sent and not yet acknowledged")]
    dropped: Annotated[dict[str, Natural], Field(description="by cause")]


class Timings(TypedDict):
    """How the daemon fared over one stats interval."""

    schema: Version
    camera: CameraName
    boot_id: BootId
    ts: Timestamp
    interval_s: Annotated[float, Field(gt=0)]
    fps: Annotated[float, Field(ge=0, description="results a second over the interval")]
    stages: dict[str, Stage]
    frames: Frames
    reconnects: Annotated[int, Field(ge=0, description="how often the camera was lost and came back")]
    sinks: Annotated[
        dict[str, dict[str, Natural]], Field(description="results taken and lost by cause, by sink")
    ]
    host: Annotated[
        dict[str, float | int | bool],
        Field(description="health of the machine; a sensor that is not there is left out"),
    ]
    messages: Messages
    events: Annotated[
        dict[str, Natural],
        Field(
            description="started = ended + open, since the settings of the scene last changed, and refused: "
            "objects that are not followed, for there are too many; empty without tracks"
        ),
    ]


class CommandCounts(TypedDict):
    """Commands since the start."""

    accepted: Natural
    refused: Annotated[dict[str, Natural], Field(description="by cause")]


class Command(TypedDict, total=False):
    """What a command may carry."""

    id: Annotated[str, Field(max_length=64, description="repeated in the answer")]
    value: Annotated[
        str | float | bool,
        Field(
            description="of a switch: ON or OFF (detection, recording), a score (threshold), a name (model)"
        ),
    ]


class CommandResult(TypedDict):
    """The answer to one command."""

    schema: Version
    ts: Timestamp
    command: str
    ok: bool
    message: Annotated[str, Field(description="what was done, or why not")]
    id: Annotated[str | None, Field(description="the id that the command carried")]


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False)
"""One for all messages, where ``json.dumps`` makes one for each; no message has itself in it."""


def encode(payload: Mapping[str, Any]) -> bytes:
    """Compact JSON.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    return _ENCODER.encode(payload).encode()


def joined(first: bytes, second: bytes) -> bytes:
    """One JSON object with the fields of two, neither of which is empty."""
    return b"%b,%b" % (first[:-1], second[1:])


def detections(result: Result, *, camera: str, boot_id: str, seq: int, now: float) -> Detections:
    """The message of one frame; ``now`` is UTC in seconds."""
    frame = result.frame
    width, height = frame.full or (frame.width, frame.height)
    scale = width / frame.width, height / frame.height
    return {
        "schema": SCHEMA,
        "camera": camera,
        "boot_id": boot_id,
        "seq": seq,
        "frame_id": frame.frame_id,
        "ts_capture": round(frame.ts_capture, 6),
        "ts_publish": round(now, 6),
        "image": {"w": width, "h": height},
        "model": result.model,
        "inferred": result.inferred,
        "detections": [_item(found, *scale) for found in result.detections],
        "timings_ms": dict(result.timings_ms),
    }


def _item(found: Detection, x_scale: float, y_scale: float) -> DetectionItem:
    x1, y1, x2, y2 = map(float, found.box)
    item: DetectionItem = {
        "label": found.label,
        "class_id": int(found.class_id),
        "score": round(float(found.score), 4),
        "box": [
            round(x1 * x_scale, 2),
            round(y1 * y_scale, 2),
            round(x2 * x_scale, 2),
            round(y2 * y_scale, 2),
        ],
        "track": found.track,
    }
    if found.keypoints:
        item["keypoints"] = [
            [round(x * x_scale, 2), round(y * y_scale, 2), round(sure, 4)] for x, y, sure in found.keypoints
        ]
    if found.sub_label:
        item["sub_label"] = found.sub_label
        item["sub_score"] = round(found.sub_score, 4)
    if found.outline:
        item["outline"] = [[round(x * x_scale, 2), round(y * y_scale, 2)] for x, y in found.outline]
    return item


def messages(delivery: Delivery) -> Messages:
    """The account of the messages as it is published."""
    return {
        "made": delivery.made,
        "recovered": delivery.recovered,
        "acknowledged": delivery.acknowledged,
        "spooled": delivery.spooled,
        "queued": delivery.queued,
        "in_flight": delivery.in_flight,
        "dropped": dict(delivery.dropped),
    }


def timings(report: Report, *, camera: str, boot_id: str, delivery: Delivery, now: float) -> Timings:
    """The figures of one stats interval; ``now`` is UTC in seconds."""
    return {
        "schema": SCHEMA,
        "camera": camera,
        "boot_id": boot_id,
        "ts": round(now, 3),
        "interval_s": report.interval_s,
        "fps": report.fps,
        "stages": {name: stage(stats) for name, stats in report.stages.items()},
        "frames": frames(report.frames),
        "reconnects": report.reconnects,
        "sinks": {name: dict(counts) for name, counts in report.sinks.items()},
        "host": dict(report.host),
        "messages": messages(delivery),
        "events": dict(report.events),
    }


def stage(stats: StageStats) -> Stage:
    """The figures of one stage."""
    return {
        "count": stats.count,
        "p50_ms": stats.p50_ms,
        "p95_ms": stats.p95_ms,
        "p99_ms": stats.p99_ms,
        "max_ms": stats.max_ms,
    }


def frames(counts: FrameCounts) -> Frames:
    """The frame ledger."""
    return {
        "captured": counts.captured,
        "inferred": counts.inferred,
        "still": counts.still,
        "dropped": dict(counts.dropped),
        "in_flight": counts.in_flight,
    }
