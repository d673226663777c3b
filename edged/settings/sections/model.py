"""The settings of the model, and of what counts of what it finds."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the annotations
from typing import Annotated

from pydantic import BaseModel, BeforeValidator

from edged.settings import syntax
from edged.settings.field import setting


class ModelSettings(BaseModel):
    """Which model looks at the frames, and which of its detections count."""

    model: Path = setting(..., "path of a .tflite", read=True)
    labels: Path | None = setting(None, "labels file, one per line", shown="from the model", read=True)
    classes: Annotated[tuple[str, ...], BeforeValidator(syntax.comma_separated)] = setting(
        (), "labels to keep, comma separated", shown="all"
    )
    score_threshold: float = setting(0.4, "detections below this score are left out (0..1)", gt=0, le=1)
    iou_threshold: float = setting(
        0.45,
        "of two boxes of one class that overlap more than this only the better one stays (0..1)",
        gt=0,
        le=1,
    )
