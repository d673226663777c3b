"""BlazeFace, MediaPipe's face detector: short range, back camera and full range."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edged.decoders import boxes
from edged.decoders.logits import logit, sigmoid
from edged.decoders.quantised import least_stored, real, require_finite
from edged.imaging.geometry import input_size
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_GRIDS = {
    # Anchors of the model: cells a side and anchors a cell of each of its feature maps.
    896: ((16, 2), (8, 6)),  # short range (128x128) and back camera (256x256)
    2304: ((48, 1),),  # full range (192x192)
}
_COORDINATES = 16


class _Part(NamedTuple):
    """Two outputs that belong together."""

    boxes: int
    scores: int
    anchors: int
    """How many they have."""


class BlazeFace:
    """Boxes and scores of faces relative to fixed anchors.

    Two outputs in any order, float32 or quantised:

    - regressors ``[1, anchors, 16]``: centre x, centre y, width and height in input pixels, the centre
      counted from that of the anchor, then six landmarks (x, y), which edged does not use;
    - classificators ``[1, anchors, 1]``: logits, score = sigmoid;

    or two such outputs for each grid, 512 and 384 anchors, as converters of the PyTorch model leave them.

    Anchors are the centres of the cells of square grids, row by row, all of size 1: 16x16 with two and 8x8
    with six a cell (896), or 48x48 with one (2304). Input RGB -1..1, letterboxed with a black border.

    Source: MediaPipe, modules/face_detection/face_detection_{short_range,full_range}.pbtxt (SsdAnchors and
    TensorsToDetections calculators; ImageToTensor: keep_aspect_ratio, BORDER_ZERO). MediaPipe averages
    overlapping boxes where this takes the best of them.
    """

    task = "detect"
    encoding = Encoding("letterbox", low=-1.0, high=1.0, border=0)
    labels: tuple[str, ...] = ("face",)

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for 16 numbers and one score for each of a known number of anchors."""
        if _parts(model) is None:
            return f"it has no [1, n, 16] beside [1, n, 1], n in all one of {', '.join(map(str, _GRIDS))}"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        parts = _parts(model)
        assert parts is not None  # noqa: S101  # mismatch() was asked before
        self._specs = model.outputs
        least = logit(score_threshold)
        self._parts = [(part, least_stored(least, model.outputs[part.scores])) for part in parts]
        self._iou_threshold = iou_threshold
        width, height = input_size(model.inputs[0])
        centres = anchor_centres(sum(part.anchors for part in parts))
        self._anchors = centres * np.array((width, height), np.float32)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Faces of one frame in source pixels, clipped to the frame, best score first.

        Raises:
            OutputError: a score, or a box with a good one, is no finite number.
        """
        # Most frames have none, and the largest score tells; where there is a NaN it is NaN, below nothing.
        if all(outputs[part.scores].max() < least for part, least in self._parts):
            return []
        scores, found, first = [], [], 0
        for part, least in self._parts:
            stored = outputs[part.scores][0, :, 0]
            alive = (stored >= least).nonzero()[0]
            scores.append(real(stored[alive], self._specs[part.scores]))
            found.append(real(outputs[part.boxes][0, alive, :4], self._specs[part.boxes]))
            found[-1][:, :2] += self._anchors[alive + first]
            first += part.anchors
        require_finite(*(outputs[part.scores] for part, _ in self._parts), *found)
        sure, corners = sigmoid(np.concatenate(scores)), boxes.corners(np.concatenate(found))
        class_ids = np.zeros(sure.size, np.intp)
        kept = boxes.suppress(corners, sure, class_ids, self._iou_threshold)
        return boxes.detections(corners[kept], sure[kept], class_ids[kept], self.labels, geometry)


def _parts(model: Model) -> list[_Part] | None:
    """Outputs with all anchors, or a pair for each grid, the finer one first."""
    shapes = [output.shape for output in model.outputs]
    for grids in _GRIDS.values():
        by_grid = [cells * cells * per_cell for cells, per_cell in grids]
        for counts in ([sum(by_grid)], by_grid):
            expected = [(1, count, width) for count in counts for width in (1, _COORDINATES)]
            if len(model.inputs) == 1 and sorted(shapes) == sorted(expected):
                return [
                    _Part(shapes.index((1, count, _COORDINATES)), shapes.index((1, count, 1)), count)
                    for count in counts
                ]
    return None


def anchor_centres(anchors: int) -> npt.NDArray[np.float32]:
    """Centres x, y of all anchors, 0..1 of the input, ``[anchors, 2]``."""
    maps = []
    for cells, per_cell in _GRIDS[anchors]:
        centre = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        y, x = np.meshgrid(centre, centre, indexing="ij")
        maps.append(np.repeat(np.stack((x, y), axis=-1).reshape(-1, 2), per_cell, axis=0))
    return np.concatenate(maps)
