"""The settings of what the model looks at: all frames, or those in which something moves."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from edged.settings.field import setting


class LookSettings(BaseModel):
    """What of one camera's settings decides which frames the model sees."""

    motion: Literal["off", "pixels", "packets"] = setting(
        "off",
        "Scene",
        "pixels: frames in which nothing moves are not given to the model; what was there is told on, with "
        "inferred: false; packets: of H.264 and HEVC such frames are not even decoded",
    )
    motion_check: float = setting(
        10.0,
        "Scene",
        "seconds after which a frame is decoded and given to the model although nothing moves",
        gt=0,
        le=3600,
        allow_inf_nan=False,
    )
