"""The settings of the scene: tracks, zones, lines and masks, and which frames the model looks at."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the annotations
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, model_validator

from edged.settings import areas as area_syntax
from edged.settings import syntax
from edged.settings.areas import Area  # noqa: TC001  # pydantic reads the annotations
from edged.settings.field import setting

NAMED = ("zone", "line", "mask")
"""Settings of which there may be any number, each with a name of its own at the end of the setting's."""


class SceneSettings(BaseModel):
    """What of one camera's settings the scene reads."""

    track: bool = setting(
        True, "follow objects over time: ids of tracks, counts that no missed frame changes, and events"
    )
    track_score: float = setting(
        0.1,
        "detections down to this score (0..1) continue an object that EDGED_SCORE_THRESHOLD has begun",
        gt=0,
        le=1,
        needs="track",
    )
    stationary: float = setting(
        10.0,
        "seconds without moving after which an object is stationary: it counts, and is silent; 0: never",
        ge=0,
        le=86400,
        needs="track",
    )
    scores: Annotated[tuple[tuple[str, float], ...], BeforeValidator(area_syntax.scores)] = setting(
        (),
        "scores that begin an object, by label, as person:0.6,car:0.5",
        shown="EDGED_SCORE_THRESHOLD for all",
        needs="track",
    )
    areas: Annotated[tuple[tuple[str, float, float], ...], BeforeValidator(area_syntax.sizes)] = setting(
        (),
        "least and greatest part of the frame that a box may cover, by label, as person:0.002-0.5",
        shown="any",
        needs="track",
    )
    classify: Annotated[tuple[tuple[str, Path], ...], BeforeValidator(area_syntax.models)] = setting(
        (), "second models that say more exactly what an object is, by label, as bird:/path/birds.tflite"
    )
    zone: Annotated[tuple[Area, ...], BeforeValidator(area_syntax.zones)] = setting(
        (),
        "a zone called NAME, any number of them: corners as fractions of the frame, x,y x,y x,y, with labels "
        "before and a least time after if you like, as person,car@0.1,0.5 0.6,0.5 0.6,1 0.1,1 dwell=3",
        named=True,
        needs="track",
    )
    line: Annotated[tuple[Area, ...], BeforeValidator(area_syntax.lines)] = setting(
        (),
        "a line called NAME, from one point to another, as 0.1,0.5 0.9,0.5: who crosses it to the right, "
        "seen along it, goes in, to the left out",
        named=True,
        needs="track",
    )
    mask: Annotated[tuple[Area, ...], BeforeValidator(area_syntax.masks)] = setting(
        (),
        "a polygon called NAME in which nothing is looked for, or none of some labels, as "
        "car@0,0 1,0 1,0.3 0,0.3",
        named=True,
        needs="track|motion",
    )

    event_labels: Annotated[tuple[str, ...], BeforeValidator(syntax.comma_separated)] = setting(
        (), "labels for which EDGED_EVENTS records, comma separated", shown="all", needs="events"
    )
    event_zones: Annotated[tuple[str, ...], BeforeValidator(syntax.lower_names)] = setting(
        (), "zones in which EDGED_EVENTS records, comma separated", shown="the whole frame", needs="events"
    )
    motion: Literal["off", "pixels", "packets"] = setting(
        "off",
        "pixels: frames in which nothing moves are not given to the model; what was there is told on, with "
        "inferred: false; packets: of H.264 and HEVC such frames are not even decoded",
    )
    motion_check: float = setting(
        10.0,
        "seconds after which a frame is decoded and given to the model although nothing moves",
        gt=0,
        le=3600,
        needs="motion",
    )
    regions: Literal["off", "auto"] = setting(
        "off",
        "auto: the model looks at crops around what moves and what is followed, and at the whole frame once "
        "a second; for what is small or far",
    )
    tiles: Annotated[tuple[int, int] | None, BeforeValidator(syntax.tiles)] = setting(
        None,
        "columns x rows, as 3x2: the model looks at so many overlapping parts of every frame, too, one by "
        "one, and finds what is small or far",
    )

    @model_validator(mode="before")
    @classmethod
    def _gather_named(cls, values: Any) -> Any:
        """Bring ``zone_porch`` and ``zone_gate`` together as ``zone``."""
        if not isinstance(values, dict):
            return values
        gathered: dict[str, Any] = {}
        for key, value in values.items():
            kind, _, name = key.partition("_")
            if name and kind in NAMED and key not in cls.model_fields:
                gathered.setdefault(kind, {})[name] = value
            else:
                gathered[key] = value
        return gathered
