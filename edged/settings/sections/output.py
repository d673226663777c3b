"""The settings of what is kept on the disk."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the annotations
from typing import Literal

from pydantic import BaseModel

from edged.settings.field import MOST, setting


class OutputSettings(BaseModel):
    """What is kept on the disk: video, segments and lines."""

    output: Path | None = setting(
        None,
        "video in fragmented MP4: a file that ends in .mp4, or a folder for segments that are named by UTC "
        "time, each with its detections beside it",
    )
    record: Literal["annotated", "copy"] = setting(
        "annotated",
        "annotated: the frames that the model saw, with what was found drawn in; copy: the camera's own "
        "video as it comes, neither decoded nor encoded, into a folder (docs/less.md)",
        needs="output",
    )
    segment: float = setting(60.0, "seconds of video in a file, in a folder", ge=1, le=3600, needs="output")
    output_max_gb: float | None = setting(
        None,
        "gigabytes (10^9 bytes) that all segments may take; the oldest go first",
        gt=0,
        le=MOST,
        needs="output",
    )
    disk_free_gb: float = setting(
        1.0,
        "gigabytes (10^9 bytes) that stay free on the disk of the folder: the oldest segments go first, then "
        "nothing is recorded",
        ge=0,
        le=MOST,
        needs="output",
    )
    events: bool = setting(False, "record into the folder only while an object is there", needs="output")
    pre_roll: float = setting(5.0, "seconds of video before an event", ge=0, le=60, needs="events")
    post_roll: float = setting(10.0, "seconds of video after an event", ge=0, le=3600, needs="events")
    encoder: Literal["auto", "libx264", "h264_v4l2m2m"] = setting(
        "auto",
        "libx264 (on the CPU) or h264_v4l2m2m (hardware of the Raspberry Pi up to 4); auto: the hardware "
        "where it works",
        needs="output",
    )
    jsonl: str | None = setting(
        None, "one line of JSON a frame, like the MQTT detections: a file, or - for stdout"
    )
    events_jsonl: str | None = setting(
        None, "one line of JSON for all news of an object, like the MQTT events", needs="track"
    )
