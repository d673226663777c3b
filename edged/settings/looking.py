"""The settings of what the model looks at: all frames, or those in which something moves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator

from edged.settings import written
from edged.settings.field import setting


class LookSettings(BaseModel):
    """What of one camera's settings decides which frames the model sees, and what of them."""

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
    regions: Literal["off", "auto"] = setting(
        "off",
        "Scene",
        "auto: the model looks at crops around what moves and what is followed, and at the whole frame once "
        "a second; for what is small or far",
    )
    tiles: Annotated[tuple[int, int] | None, BeforeValidator(written.tiles)] = setting(
        None,
        "Scene",
        "columns x rows, as 3x2: the model looks at so many overlapping parts of every frame, too, one by "
        "one, and finds what is small or far",
        shown="none",
    )
