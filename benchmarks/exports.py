"""Whether edged reads an exporter's models as the exporter's own package does (benchmarks/exports.md).

    python benchmarks/exports.py EXPORTS    # prints the table and the line under it

EXPORTS has .tflite files, and beside each an .npz of the same name with what the package itself finds in one
picture, score 0.25, IoU 0.7: ``picture`` (BGR, as large as the model's input), ``task``, and by task
``scores`` and ``classes`` with ``boxes`` (x1, y1, x2, y2), ``points`` (x, y, visibility), ``masks`` (a plane
each) or ``corners`` (four each, no boxes); of a classifier ``top5`` and ``top5conf``. All in pixels of the
picture. Where the package cannot read the file itself, ``of`` names the weights that the reference is of: how
far rounding carries is told then, and not judged. A file called ``..._end2end...`` has its suppression
inside. Every model is read twice: as it is, and without what was attached to its graph.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edged import registry
from edged.decoders import mismatches, outlines
from edged.engines.cpu import CpuEngine
from edged.errors import ModelError
from edged.imaging.tensors import Preprocessor
from edged.model import file, flatbuffer
from edged.model.description import describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from edged.records import Detection

    Floats = npt.NDArray[np.floating[Any]]

_SCORE, _OVERLAP = 0.25, 0.7
_FAMILIES = {
    "detect": "yolo",
    "pose": "yolo-pose",
    "segment": "yolo-seg",
    "obb": "yolo-obb",
    "classify": "classifier",
}
_MOST_SCORE, _MOST_PIXELS = 0.005, 0.5
"""How far scores and places may differ: the same model runs on the same picture."""
_TWIN = 8.0
"""Pixels between the corners of what may be the same thing at all."""
_MASKS_ALIKE = 0.95
_LEAST_MASK = 100
"""Pixels of a mask from which on a polygon of few corners can be like it."""


def main() -> int:
    """Compare what is there and print a table; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exports", type=Path, help="folder with .tflite and .npz files")
    rows, judged, wrong = [], 0, 0
    for path in sorted(parser.parse_args().exports.glob("*.tflite")):
        with np.load(path.with_suffix(".npz")) as loaded:
            reference = dict(loaded)
        if "boxes" in reference:
            reference = without_empty(reference)
        with tempfile.TemporaryDirectory() as folder:
            bare = Path(folder) / path.name
            data = path.read_bytes()
            bare.write_bytes(data[: flatbuffer.read(data).end])
            for whole, place in ((True, path), (False, bare)):
                right, cells = compared(place, reference)
                if "of" in reference:
                    cells[-1] = f"{cells[-1]} of {reference['of']}".strip()
                else:
                    judged, wrong = judged + 1, wrong + (not right)
                    cells[-1] = cells[-1] if right else f"{cells[-1]} **differs**".strip()
                rows.append(f"| {path.stem} | {'yes' if whole else 'no'} | {' | '.join(cells)} |")
                print(rows[-1], file=sys.stderr, flush=True)
    print("| export | metadata | family | found | scores | boxes | more |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows))
    print(f"\n{len(rows)} readings; of {judged} that are judged {wrong} differ.")
    return 1 if wrong else 0


def without_empty(reference: Mapping[str, Any]) -> dict[str, Any]:
    """What is left without boxes that lie outside the picture or are turned inside out."""
    wide, high = (reference["boxes"][:, 2:] - reference["boxes"][:, :2]).T
    there = (wide > 0) & (high > 0)
    each = ("boxes", "scores", "classes", "points", "masks")
    return {name: value[there] if name in each else value for name, value in reference.items()}


def compared(path: Path, reference: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """Whether a model is read right, and the cells of its row."""
    engine = CpuEngine(path)
    model = describe(file.read(path), engine.inputs, engine.outputs, engine.invoke)
    families = [family for family, reason in mismatches(model).items() if reason is None]
    task = str(reference["task"])
    expected = "yolo-end2end" if task == "detect" and "end2end" in path.stem else _FAMILIES[task]
    if families != [expected]:
        return False, [" and ".join(families) or "none", "", "", "", f"expected {expected}"]
    try:
        decoder = registry.load(registry.DECODERS[expected])(
            model, score_threshold=0.0 if task == "classify" else _SCORE, iou_threshold=_OVERLAP
        )
    except ModelError as error:
        return False, [expected, "", "", "", str(error)]
    preprocess = Preprocessor(model.inputs[0], decoder.encoding)
    tensor = preprocess.new_input()
    geometry = preprocess(reference["picture"], tensor)
    found = decoder.decode(engine.invoke(tensor), geometry)
    engine.close()
    if task == "classify":
        return classified(found, reference)
    return same(expected, found, reference)


def classified(found: Sequence[Detection], reference: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """The same of a classifier, whose five best classes are compared."""
    theirs = {
        int(class_id): float(score)
        for class_id, score in zip(reference["top5"], reference["top5conf"], strict=True)
    }
    ours = {one.class_id: one.score for one in found}
    worst = max((abs(ours.get(number, 0.0) - score) for number, score in theirs.items()), default=0.0)
    right = list(ours) == list(theirs) and worst <= _MOST_SCORE
    shared = len(ours.keys() & theirs.keys())
    return right, ["classifier", f"{shared} of {len(theirs)}", f"{worst:.4f}", "", ""]


def same(family: str, found: Sequence[Detection], reference: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """Each detection of the reference with the one of ours that is nearest, and what is left over."""
    pairs = twins(found, reference)
    scores = [abs(found[ours].score - reference["scores"][theirs]) for ours, theirs, _ in pairs]
    places = [distance for *_, distance in pairs]
    more, like = further(found, reference, pairs)
    count = len(reference["scores"])
    right = (
        len(pairs) == len(found) == count
        and max(scores, default=0) <= _MOST_SCORE
        and max(places, default=0) <= _MOST_PIXELS
        and like
    )
    cells = [family, f"{len(pairs)} of {count}, {len(found) - len(pairs)} more"]
    cells += [f"{max(scores, default=0):.4f}", f"{max(places, default=0):.2f} px", more]
    return right, cells


def twins(found: Sequence[Detection], reference: Mapping[str, Any]) -> list[tuple[int, int, float]]:
    """Index of ours, of theirs, and how far apart their corners are, pixels; each once, the nearest first."""
    pairs = [
        (apart(one, reference, theirs), ours, theirs)
        for ours, one in enumerate(found)
        for theirs in range(len(reference["scores"]))
        if one.class_id == int(reference["classes"][theirs])
        and abs(one.score - reference["scores"][theirs]) <= _MOST_SCORE
    ]
    taken: tuple[set[int], set[int]] = (set(), set())
    kept = []
    for distance, ours, theirs in sorted(pairs):
        if distance <= _TWIN and ours not in taken[0] and theirs not in taken[1]:
            taken[0].add(ours)
            taken[1].add(theirs)
            kept.append((ours, theirs, distance))
    return kept


def apart(one: Detection, reference: Mapping[str, Any], number: int) -> float:
    """The largest distance of two corners in x or y; four may begin with any of them and turn either way."""
    if "corners" not in reference:
        return float(np.abs(np.array(one.box) - reference["boxes"][number]).max())
    ours, theirs = np.array(one.outline), reference["corners"][number].reshape(4, 2)
    return min(
        float(np.abs(np.roll(way, turn, axis=0) - theirs).max())
        for turn in range(4)
        for way in (ours, ours[::-1])
    )


def further(
    found: Sequence[Detection], reference: Mapping[str, Any], pairs: Sequence[tuple[int, int, float]]
) -> tuple[str, bool]:
    """What the task adds, in words, and whether it is like the reference."""
    if "points" in reference:
        # The package moves points into the picture; here they are told where they are.
        edge = np.array(reference["picture"].shape[1::-1])
        apart_by = [
            np.abs(
                np.array(found[ours].keypoints)[:, :2].clip(0, edge) - reference["points"][number, :, :2]
            ).max()
            for ours, number, _ in pairs
        ]
        worst = float(max(apart_by, default=0.0))
        return f"points {worst:.2f} px", worst <= _MOST_PIXELS
    if "masks" in reference:
        likeness = [
            covered(found[ours], reference["masks"][number])
            for ours, number, _ in pairs
            if reference["masks"][number].sum() >= _LEAST_MASK
        ]
        outlined, whole = np.mean(likeness, axis=0) if likeness else (1.0, 1.0)
        said = f"outlines IoU {outlined:.3f} of {len(likeness)}, with masks {whole:.3f}"
        return said, bool(outlined >= _MASKS_ALIKE)
    return "", True


def covered(one: Detection, mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Intersection over union of an outline with the outline of a mask, and with the mask itself.

    An outline has few corners, few parts and no holes; masks of random weights have many of all.
    """
    ours = filled(one.outline or (), mask.shape)
    outlined = filled(outlines.around(mask.astype(np.uint8), 1.0), mask.shape)
    first, second = (
        float((ours & theirs).sum() / max(1, (ours | theirs).sum())) for theirs in (outlined, mask)
    )
    return first, second


def filled(corners: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The mask within an outline, of the picture's size; pixels have their middle at whole numbers."""
    plane = np.zeros(shape, np.uint8)
    if np.size(corners):
        cv2.fillPoly(plane, [np.rint(np.asarray(corners) * 16).astype(np.int32)], 1, shift=4)
    return plane.astype(bool)


if __name__ == "__main__":
    sys.exit(main())
