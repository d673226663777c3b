"""What the outputs of Ultralytics' models share, whatever their task: boxes, class scores, further numbers.

A task adds numbers to each box: points of a pose, weights of masks, an angle. They come raw, of every anchor,
or finished, when the model has suppressed by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edged.decoders import anchors, objectness, trial_run
from edged.decoders.boxes import corners, suppress
from edged.decoders.quantised import least_stored, real, require_finite
from edged.imaging.geometry import input_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.decoders.quantised import Floats, Integers
    from edged.records import Model, Tensor, TensorSpec

BOX = 4
_RANK = 3
FINISHED = 6
_SPLIT = 2
_NORMALISED_MOST = 4.0


class Candidates(NamedTuple):
    """What reaches the threshold."""

    boxes: Floats
    """Centre x, centre y, width and height in input pixels, ``[n, 4]``."""
    scores: Floats
    """``[n]``."""
    class_ids: Integers
    """``[n]``."""
    extras: Floats
    """Real values of the further numbers of the task, ``[n, extras]``."""

    def at(self, indices: Integers) -> Candidates:
        """Those of these indices, in this order."""
        boxes, scores, class_ids, extras = self
        return Candidates(boxes[indices], scores[indices], class_ids[indices], extras[indices])


class _Part(NamedTuple):
    """Where numbers of one kind lie."""

    output: int
    rows: slice


@dataclass(frozen=True, slots=True)
class RawLayout:
    """Where a raw head has what."""

    boxes: _Part
    scores: _Part
    extras: _Part
    transposed: bool
    """Whether anchors come before channels."""
    classes: int


def raw_layout(model: Model, extras: int, outputs: Sequence[int] | None = None) -> RawLayout | None:
    """Where boxes, scores and ``extras`` further numbers of every anchor lie; None where they do not.

    Either in one output ``[1, 4 + classes + extras, anchors]``, or in one each, ``[1, 4, anchors]``,
    ``[1, classes, anchors]`` and ``[1, extras, anchors]`` in any order, or any of these ``[1, anchors, n]``.

    Args:
        model: what is known of it.
        extras: how many numbers the task adds to each box.
        outputs: which outputs belong to the head; None: all do.
    """
    places = tuple(range(len(model.outputs))) if outputs is None else tuple(outputs)
    shapes = [model.outputs[place].shape for place in places]
    if not shapes or not all(len(shape) == _RANK and shape[0] == 1 for shape in shapes):
        return None
    known = anchors.anchors(model)
    if len(shapes) == 1:
        return _together(model, places[0], extras)
    if len(shapes) != _SPLIT + bool(extras):
        return None
    for axis, transposed in ((2, False), (1, True)):
        counts = {shape[axis] for shape in shapes}
        if len(counts) == 1 and counts <= known:
            return _split(places, [shape[3 - axis] for shape in shapes], extras, transposed=transposed)
    return None


def _together(model: Model, place: int, extras: int) -> RawLayout | None:
    """All kinds in one output, one after the other."""
    if objectness.are_rows_of_three(model, place):
        return None
    shape, known = model.outputs[place].shape, anchors.anchors(model)
    transposed = not trial_run.columns_are_anchors(model, place)
    channels, cells = shape[:0:-1] if transposed else shape[1:]
    middle = channels - extras
    if middle <= BOX or cells not in known or (transposed and _is_finished(model, place)):
        return None
    box, score, extra = (
        _Part(place, slice(first, last)) for first, last in ((0, BOX), (BOX, middle), (middle, channels))
    )
    return RawLayout(box, score, extra, transposed, middle - BOX)


def _split(places: Sequence[int], widths: list[int], extras: int, *, transposed: bool) -> RawLayout | None:
    """One output a kind, told apart by width; of equal ones boxes come first and further numbers last."""
    left = list(range(len(widths)))
    if BOX not in widths:
        return None
    box = left.pop(widths.index(BOX))
    extra = None
    if extras:
        extra = next((index for index in reversed(left) if widths[index] == extras), None)
        if extra is None:
            return None
        left.remove(extra)
    (score,) = left
    whole = slice(None)
    return RawLayout(
        _Part(places[box], whole),
        _Part(places[score], whole),
        _Part(places[box if extra is None else extra], slice(0, 0) if extra is None else whole),
        transposed,
        widths[score],
    )


class RawHead:
    """Boxes, scores and further numbers of every anchor; nothing is suppressed yet."""

    finished = False

    def __init__(self, model: Model, layout: RawLayout, score_threshold: float) -> None:
        self._layout = layout
        self._specs = model.outputs
        self._size = input_size(model.inputs[0])
        self._score_spec: TensorSpec = model.outputs[layout.scores.output]
        self._least = least_stored(score_threshold, self._score_spec)
        used = sorted({layout.boxes.output, layout.scores.output, layout.extras.output})
        self._real = [place for place in used if model.outputs[place].dtype.kind == "f"]
        """Outputs that may hold what is no number."""
        self.classes = layout.classes
        channels = model.outputs[layout.extras.output].shape[2 if layout.transposed else 1]
        extras = len(range(channels)[layout.extras.rows])
        boxes, furthers = (np.empty((0, width), np.float32) for width in (BOX, extras))
        self._nothing = Candidates(boxes, np.empty(0, np.float32), np.empty(0, np.intp), furthers)

    def candidates(self, outputs: Sequence[Tensor]) -> Candidates:
        """What reaches the threshold, in the order of the anchors."""
        layout = self._layout
        require_finite(*(outputs[place] for place in self._real))
        scores = self._stored(outputs, layout.scores)
        # One pass of maximum over all anchors; which class it is matters only for the few that survive.
        best = scores.max(axis=0)
        (alive,) = (best >= self._least).nonzero()
        if not alive.size:
            return self._nothing
        stored, box_spec = self._stored(outputs, layout.boxes), self._specs[layout.boxes.output]
        boxes = real(stored[:, alive].T, box_spec) * anchors.pixels(stored[0], box_spec, self._size)
        extras = self._stored(outputs, layout.extras)[:, alive].T
        return Candidates(
            boxes,
            real(best[alive], self._score_spec),
            scores[:, alive].argmax(axis=0),
            real(extras, self._specs[layout.extras.output]) if extras.size else extras.astype(np.float32),
        )

    def unit_of_points(self, outputs: Sequence[Tensor], found: Floats) -> Floats:
        """What to multiply x, y with whose x is the first of the further numbers; see ``anchors.pixels``.

        Some exporters normalise boxes and leave the points of a pose in pixels.
        """
        del found
        part = self._layout.extras
        stored = self._stored(outputs, part)[0]
        return anchors.pixels(stored, self._specs[part.output], self._size)[:2]

    def _stored(self, outputs: Sequence[Tensor], part: _Part) -> Tensor:
        """Numbers of one kind as the model stores them, ``[rows, anchors]``."""
        stored: Tensor = outputs[part.output][0]
        rows: Tensor = (stored.T if self._layout.transposed else stored)[part.rows]
        return rows


def not_finished(model: Model, extras: int, output: int | None = None) -> str | None:
    """Why an output, the only one where none is named, has no finished rows ``[1, n, 6 + extras]``."""
    if output is None and len(model.outputs) != 1:
        return f"it has {len(model.outputs)} outputs instead of one [1, boxes, {FINISHED + extras}]"
    shape = model.outputs[output or 0].shape
    if len(shape) != _RANK or shape[0] != 1 or shape[2] != FINISHED + extras:
        return f"it has no output [1, boxes, {FINISHED + extras}]"
    raw = anchors.anchors(model) | anchors.anchors(model, per_cell=3)
    if shape[1] in raw and not _is_finished(model, output or 0):
        return f"its {shape[1]} rows are the anchors of its input, so they are raw"
    return None


def _is_finished(model: Model, output: int) -> bool:
    """Whether nothing is left to suppress, by metadata or a trial run.

    Where the input is small, all its anchors may be rows, so their number does not tell.
    """
    given = model.metadata.get("args")
    told = model.metadata.get("end2end") is True or (isinstance(given, dict) and given.get("nms") is True)
    return told or trial_run.are_finished(model, output)


class FinishedHead:
    """Rows of finished detections: box, score, class id and further numbers; nothing is left to suppress.

    Boxes are corners, or with ``centred`` centre and size, as of oriented boxes. Ultralytics normalises them
    to 0..1 for TFLite, other exporters leave them in input pixels. Normalised corners stay near 0..1 even of
    boxes that hang out of the picture, so a corner beyond 4 means pixels; a picture whose boxes in pixels all
    end within 4 pixels of the upper left corner has none worth telling.
    """

    finished = True

    def __init__(
        self, model: Model, score_threshold: float, *, output: int = 0, centred: bool = False
    ) -> None:
        self._output = output
        self._spec = model.outputs[output]
        self._size = input_size(model.inputs[0])
        self._threshold = score_threshold
        self._centred = centred
        self.classes = len(model.labels)
        """Those that have a name: nothing else tells how many there are."""

    def candidates(self, outputs: Sequence[Tensor]) -> Candidates:
        """What reaches the threshold, best score first."""
        require_finite(outputs[self._output])
        rows = real(outputs[self._output][0], self._spec)
        width, height = self._size if rows[:, :BOX].max() <= _NORMALISED_MOST else (1, 1)
        rows = rows[rows[:, 4] >= self._threshold]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        boxes = rows[:, :BOX] * np.array((width, height, width, height), np.float32)
        if not self._centred:
            upper, lower = boxes[:, :2], boxes[:, 2:]
            boxes = np.concatenate(((upper + lower) / 2, lower - upper), axis=1)
        return Candidates(boxes, rows[:, 4], np.rint(rows[:, 5]).astype(np.intp), rows[:, FINISHED:])

    def unit_of_points(self, outputs: Sequence[Tensor], found: Floats) -> Floats:
        """What to multiply x, y with that were ``found`` (``[n, 2]``), to have them in input pixels."""
        del outputs
        normalised = not found.size or np.abs(found).max() <= _NORMALISED_MOST
        return np.array(self._size if normalised else (1, 1), np.float32)


def open_head(
    model: Model,
    extras: int,
    score_threshold: float,
    *,
    outputs: Sequence[int] | None = None,
    centred: bool = False,
) -> RawHead | FinishedHead:
    """The head of a model with ``extras`` further numbers a box: raw if its outputs have that layout.

    Args:
        model: what is known of it.
        extras: how many numbers the task adds to each box.
        score_threshold: of what is a candidate.
        outputs: which outputs belong to the head; None: all do. A finished one is the first of them.
        centred: whether finished boxes are centre and size.
    """
    layout = raw_layout(model, extras, outputs)
    if layout is None:
        first = 0 if outputs is None else outputs[0]
        return FinishedHead(model, score_threshold, output=first, centred=centred)
    return RawHead(model, layout, score_threshold)


def distinct(
    head: RawHead | FinishedHead, outputs: Sequence[Tensor], iou_threshold: float
) -> tuple[Floats, Candidates]:
    """What is left after suppression: corners ``[n, 4]`` in input pixels, and all else."""
    found = head.candidates(outputs)
    edges = corners(found.boxes)
    if head.finished or not found.scores.size:
        return edges, found
    kept = suppress(edges, found.scores, found.class_ids, iou_threshold)
    return edges[kept], found.at(kept)
