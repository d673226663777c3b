"""PP-PicoDet, exported without its post-processing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.decoders import anchors
from edged.decoders.split_heads import SplitDecoder, split_layout
from edged.imaging.tensors import Encoding, normalised

if TYPE_CHECKING:
    from edged.records import Model

_LEVELS = 4
_LOW, _HIGH = normalised((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


class PicoDet(SplitDecoder):
    """Class scores and distributions of distances of four levels.

    Eight outputs in any order, a pair ``[1, cells, classes]`` and ``[1, cells, 32]`` for each of strides 8,
    16, 32 and 64, or two outputs with all cells; see ``split_heads`` for the other shapes. The 32 are 8
    logits for each of left, top, right and bottom, in units of the cell, from its middle (see ``dfl``).
    Scores are 0..1 after the sigmoid, or logits: a trial run or the quantisation tells. float32, float16,
    int8 or uint8, each output with a scale of its own.

    Input RGB less (123.675, 116.28, 103.53), divided by (58.395, 57.12, 57.375), the picture stretched.

    Source: PaddleDetection, ppdet/modeling/heads/pico_head.py (deploy), configs/picodet/_base_ (reg_max 7,
    cell_offset 0.5, NormalizeImage, keep_ratio False).
    """

    task = "detect"
    bins = 8
    encoding = Encoding("stretch", _LOW, _HIGH)

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for pairs of outputs, one of each 32 wide, of four levels."""
        layout = split_layout(model, cls.bins)
        if layout is None or len(anchors.strides(model, layout.cells)) != _LEVELS:
            return "it has no pairs of outputs [1, cells, classes] and [1, cells, 32] of four levels"
        return None
