"""Families that a trial run or the metadata tell apart, through the whole daemon: found, published, drawn."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from daemon import edged
from whole_run import play

if TYPE_CHECKING:
    from pathlib import Path

WITH_LABELS = "modelmaker_320_uint8_raw_anchors"


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("model", "image", "seen"),
    [
        ("yolox_nano_416_dynamic_nchw", "000000000081.jpg", "airplane"),
        ("nanodet_m_320_float_nchw", "000000000034.jpg", "zebra"),
        (WITH_LABELS, "000000000009.jpg", "basket"),
    ],
)
def test_a_photo_becomes_lines_and_a_picture(
    shared: Path, tmp_path: Path, model: str, image: str, seen: str
) -> None:
    """Nothing but the file of the model says what family it is of."""
    settings = {
        "EDGED_SOURCE": str(shared / "images" / image),
        "EDGED_MODEL": str(shared / "models" / f"{model}.tflite"),
        "EDGED_TRACK": "false",
        "EDGED_JSONL": str(tmp_path / "found.jsonl"),
        "EDGED_OUTPUT": str(tmp_path / "drawn.mp4"),
    }
    if model != WITH_LABELS:
        settings["EDGED_LABELS"] = str(shared / "models" / "coco_labels80.txt")
    done = edged("run", settings=settings, timeout=150)
    assert done.returncode == 0, done.stderr
    (line,) = (tmp_path / "found.jsonl").read_text(encoding="utf-8").splitlines()
    found = json.loads(line)["detections"]
    assert seen in {detection["label"] for detection in found}
    assert all(0.4 <= detection["score"] <= 1 for detection in found)
    assert len(play(tmp_path / "drawn.mp4").times) == 1
