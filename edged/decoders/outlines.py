"""Polygons around what a mask covers, made of weights and prototypes as instance segmentation has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edged.decoders.quantised import Floats, Integers
    from edged.records import Tensor, TensorSpec

_LARGE = 200 * 200
"""Pixels of an enlarged mask at most: those of a large object are fine enough without."""
_TOLERANCE = 0.012
"""How far a polygon may keep from its mask, as part of the root of the mask's area."""
_MANY = 80 * 80
"""Cells of a box beyond which every second one in x and y is looked at: its mask is smooth enough."""
_LEAST_TOLERANCE = 0.5
_TRIANGLE = 3
_LEAST_PART = 0.02
"""Parts of a mask that are smaller, measured by the largest, are left out."""
_MOST_PARTS = 6


class Prototypes:
    """Planes that are weighed and summed up to the mask of each object.

    A mask is where the sum is above 0, within the object's box. It has a quarter of the input's resolution
    and is enlarged with linear interpolation, as in Ultralytics' ``process_mask``.

    Args:
        spec: the output, ``[1, h, w, planes]``, or ``[1, planes, h, w]`` where ``planar``.
        planar: whether planes come first.
        size: width and height of the input.
    """

    def __init__(self, spec: TensorSpec, size: tuple[int, int], *, planar: bool) -> None:
        self._planar = planar
        self._zero = float(spec.zero_point) if spec.quantised else 0.0
        height, width = spec.shape[2:] if planar else spec.shape[1:3]
        self._cells = (width, height)
        self._cell = np.array((size[0] / width, size[1] / height), np.float32)
        """Input pixels a cell, in x and y."""

    def outlines(self, stored: Tensor, weights: Floats, corners: Floats) -> list[Floats]:
        """A polygon of each object, in input pixels ``[points, 2]``; without points where the mask is empty.

        Args:
            stored: the prototypes as the model stores them.
            weights: real ones, ``[n, planes]``.
            corners: boxes of the objects in input pixels, ``[n, 4]``.
        """
        planes = stored[0].transpose(1, 2, 0) if self._planar else stored[0]
        windows = self._windows(corners).tolist()
        return [
            self._outline(planes, weight, window, box)
            for weight, window, box in zip(weights, windows, corners, strict=True)
        ]

    def _windows(self, corners: Floats) -> Integers:
        """Cells x1, y1, x2, y2 of boxes, with a cell more around them that interpolation needs."""
        cells = corners / np.tile(self._cell, 2)
        width, height = self._cells
        windows = np.concatenate((np.floor(cells[:, :2]) - 1, np.ceil(cells[:, 2:]) + 1), axis=1)
        windows[:, :2] = windows[:, :2].clip(0, (width - 1, height - 1))
        windows[:, 2:] = windows[:, 2:].clip(windows[:, :2] + 1, (width, height))
        return windows.astype(np.intp)

    def _outline(self, planes: Tensor, weight: Floats, window: Sequence[int], box: Floats) -> Floats:
        """The polygon around what is above 0 in a window of cells, within ``box``."""
        x1, y1, x2, y2 = window
        every = 2 if (x2 - x1) * (y2 - y1) > _MANY else 1
        cells = planes[y1:y2:every, x1:x2:every].astype(np.float32)
        if self._zero:
            cells -= self._zero
        sums = cells @ weight
        factor = next((factor for factor in (4, 2) if factor**2 * sums.size <= _LARGE), 1)
        if factor > 1:
            size = (factor * sums.shape[1], factor * sums.shape[0])
            sums = cv2.resize(sums, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        step = self._cell * (every / factor)
        # Where the first pixel lies, in numbers of input pixels: half of it goes beyond the centre of a cell.
        first = (np.array((x1, y1)) + 0.5 + every * (0.5 / factor - 0.5)) * self._cell - 0.5
        left, top = np.ceil((box[:2] - first) / step).clip(0).astype(np.intp)
        right, bottom = np.ceil((box[2:] - first) / step).clip(0).astype(np.intp)
        polygon = around((sums[top:bottom, left:right] > 0).view(np.uint8), float(step.max()))
        corner = np.array((left, top))
        outline: Floats = (polygon + corner) * step + first
        return outline


def around(mask: npt.NDArray[np.uint8], step: float) -> Floats:
    """One polygon around all that is set but for crumbs, in pixels; without points where nothing is.

    Args:
        mask: what is set, ``[h, w]``.
        step: input pixels one of its pixels; contours are those of input pixels, so larger ones are widened.
    """
    contours: Sequence[Any] = ()
    if mask.size:
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return np.empty((0, 2), np.float32)
    areas = [cv2.contourArea(contour) for contour in contours]
    largest = max(areas)
    tolerance = max(_LEAST_TOLERANCE, _TOLERANCE * largest**0.5)
    polygon: Floats = np.empty((0, 2), np.float32)
    by_area = sorted(zip(areas, contours, strict=True), key=lambda part: -part[0])
    for area, contour in by_area[:_MOST_PARTS]:
        if area < _LEAST_PART * largest:
            break
        part = cv2.approxPolyDP(contour, tolerance, closed=True).reshape(-1, 2).astype(np.float32)
        if len(part) >= _TRIANGLE:
            part = _widened(part, 0.5 - 0.5 / step)
            polygon = _joined(polygon, part) if len(polygon) else part
    return polygon


def _widened(polygon: Floats, by: float) -> Floats:
    """A polygon whose edges lie further out: contours run through the centres of the outermost pixels.

    OpenCV's outer contours turn so that (-dy, dx) points outwards.
    """
    if by <= 0:
        return polygon
    edges = np.roll(polygon, -1, axis=0) - polygon
    lengths = np.sqrt(edges[:, 0] ** 2 + edges[:, 1] ** 2)
    normals = np.stack((-edges[:, 1], edges[:, 0]), axis=1) / lengths[:, np.newaxis]
    before = np.roll(normals, 1, axis=0)
    # Where two edges meet at an angle, the corner has to go further than they do; needles stay short.
    cosine = (normals * before).sum(axis=1, keepdims=True)
    wider: Floats = polygon + by * (normals + before) / np.maximum(1 + cosine, 0.5)
    return wider


def _joined(one: Floats, other: Floats) -> Floats:
    """Two polygons as one, by a bridge without width where they are nearest: there, round it, and back."""
    x, y = one[:, :, np.newaxis].transpose(1, 0, 2) - other.T[:, np.newaxis]
    apart = x * x + y * y
    here, there = divmod(int(apart.argmin()), len(other))
    return np.concatenate((one[: here + 1], other[there:], other[: there + 1], one[here:]))
