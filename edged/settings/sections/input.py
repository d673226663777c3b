"""The settings of where frames come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator

from edged.settings import syntax
from edged.settings.field import MOST, setting


class InputSettings(BaseModel):
    """Where frames come from, and which of them count."""

    cameras: Annotated[tuple[str, ...], BeforeValidator(syntax.comma_separated)] = setting(
        (),
        "names of several cameras, comma separated: EDGED_FRONT_SOURCE is that of the camera front, "
        "EDGED_SOURCE that of all that have none of their own, and so with every setting",
        shown="one, called EDGED_CAMERA",
    )
    source: Annotated[str, BeforeValidator(syntax.source)] = setting(
        ...,
        "video or image, folder or glob of those, - for standard input, a FIFO, /dev/video0, rtsp://..., "
        "http://..., csi:0, synthetic:",
        min_length=1,
    )
    detect_source: Annotated[str | None, BeforeValidator(syntax.source)] = setting(
        None,
        "a camera's small stream, which is looked at and shown in place of EDGED_SOURCE; that one is "
        "recorded (EDGED_RECORD=copy), and boxes are in its pixels (docs/less.md)",
        shown="EDGED_SOURCE",
    )
    loop: bool = setting(False, "replay a file for ever")
    policy: Literal["auto", "all", "latest"] = setting(
        "auto",
        "all: every frame is kept and the source waits; latest: the newest frame counts, older ones are "
        "dropped and counted; auto: all for files, latest for live sources",
    )
    max_age: float = setting(
        1.0, "seconds; older frames of a live source are dropped and counted", gt=0, le=MOST
    )
    fps: float | None = setting(
        None,
        "frames a second at the most; those between are skipped and counted",
        shown="all",
        gt=1e-5,
        le=MOST,
    )
    rotate: Annotated[Literal[0, 90, 180, 270], BeforeValidator(syntax.whole_number)] = setting(
        0, "degrees clockwise by which frames are turned: 0, 90, 180 or 270"
    )
    roi: Annotated[tuple[int, int, int, int] | None, BeforeValidator(syntax.region)] = setting(
        None,
        "x,y,width,height in pixels of the turned frame, the only part of it in which anything is looked for",
        shown="the whole frame",
    )
    camera_size: Annotated[tuple[int, int] | None, BeforeValidator(syntax.size)] = setting(
        None, "width x height to ask a /dev/video or csi: camera for, as 1280x720", shown="the camera's own"
    )
    camera_fps: float | None = setting(
        None,
        "frames a second to ask a /dev/video or csi: camera for",
        shown="the camera's own",
        gt=1e-3,
        le=1000,
    )
    camera_format: Annotated[str | None, BeforeValidator(syntax.pixel_format)] = setting(
        None,
        "pixel format as four letters: MJPG lets a USB camera give HD at full rate, YUYV is uncompressed; "
        "csi: cameras give MJPG or YU12",
        shown="auto",
    )
    stream_transport: Literal["tcp", "udp"] = setting(
        "tcp", "how RTSP video travels: tcp, or udp (no delay after loss, but damaged pictures)"
    )
    decoder: Annotated[str, BeforeValidator(syntax.decoder)] = setting(
        "auto",
        "what decodes streams and files: software, or the kind of device that FFmpeg is to use, as vaapi or "
        "cuda; auto: drm, v4l2request or vaapi where it works",
    )
    open_timeout: float = setting(
        10.0, "seconds that a camera or stream has to give its first frame", gt=0, le=600
    )
    read_timeout: float = setting(
        5.0, "seconds without a frame after which a camera or stream counts as lost", gt=0, le=600
    )
