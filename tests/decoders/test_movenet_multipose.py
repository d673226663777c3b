"""MoveNet MultiPose: six rows, of which some are persons; a picture whose size the model leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from constant_model import write
from tensors import decoder, model, spec, store

from edged.cli import main
from edged.decoders import mismatches
from edged.engines.cpu import CpuEngine
from edged.errors import ModelError
from edged.imaging.geometry import Geometry

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Tensor

FRAME = Geometry(0.4, 0.4, 0, 32, 640, 480)
"""A frame of 640x480 in an input of 256x256."""
PEOPLE = ((0.5, 0.5), (0.9, 0.25))
"""Score and left edge of each."""


def rows() -> Tensor:
    """Persons of half the height of the frame, each with points on a slanting line; others are nothing."""
    made = np.full((1, 6, 56), 0.01, np.float32)
    for row, (score, left) in enumerate(PEOPLE, start=1):
        points = [(0.3 + number / 100, left + number / 200, 0.7) for number in range(17)]
        made[0, row] = (*np.ravel(points), 0.25, left, 0.65, left + 0.125, score)
    return made


@pytest.mark.parametrize(("dtype", "scale"), [("float32", 0.0), ("uint8", 1 / 255)])
def test_each_person_has_a_box_and_points(dtype: str, scale: float) -> None:
    """Best first, in pixels of the frame."""
    of = model(spec((1, 6, 56), dtype, scale=scale), shape=(1, 256, 256, 3))
    assert [family for family, reason in mismatches(of).items() if reason is None] == ["movenet-multipose"]
    found = decoder(of).decode([store(rows(), of.outputs[0])], FRAME)
    off = 256 / 255 / 0.4 if scale else 0.01
    assert [one.label for one in found] == ["person"] * 2
    assert [one.score for one in found] == pytest.approx([0.9, 0.5], abs=0.01)
    assert found[0].box == pytest.approx((160, 80, 240, 336), abs=off)
    assert [len(one.keypoints) for one in found] == [17, 17]
    assert found[1].keypoints[10] == pytest.approx((352, 176, 0.7), abs=off)
    assert (15, 13) in {tuple(sorted(pair, reverse=True)) for pair in found[0].skeleton}


def test_a_file_that_leaves_its_size_open_is_told_and_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The original takes any picture; it gets the size that its authors advise."""
    path = write(tmp_path / "multi.tflite", [rows()], shape=(1, 1, 1, 3), dtype="int32", open_size=True)
    engine = CpuEngine(path)
    assert str(engine.inputs[0]) == "int32[1, 256, 256, 3]"
    np.testing.assert_array_equal(engine.invoke(np.zeros((1, 256, 256, 3), np.int32))[0], rows())
    assert main(["models", "inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert "family                 movenet-multipose" in said
    assert "task                   pose" in said


def test_other_models_must_say_their_size(tmp_path: Path) -> None:
    """Nobody knows what size an unknown model is meant for."""
    path = write(
        tmp_path / "any.tflite", [np.zeros((1, 7, 56), np.float32)], shape=(1, 1, 1, 3), open_size=True
    )
    with pytest.raises(ModelError, match="leaves the size of its input open"):
        CpuEngine(path)
