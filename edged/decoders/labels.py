"""Names of the classes a model tells apart, and whether the labels given are really its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.contract.words import counted
from edged.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Model

_BACKGROUND = frozenset({"background", "__background__", "bg", "unlabeled", "unlabelled", "???"})


def label_of(labels: Sequence[str], class_id: int) -> str:
    """The name of a class, ``class_<id>`` where it has none."""
    if 0 <= class_id < len(labels) and labels[class_id]:
        return labels[class_id]
    return f"class_{class_id}"


def class_names(model: Model, classes: int, labels: Sequence[str] | None = None) -> tuple[str, ...]:
    """A name for each of ``classes`` class ids.

    Args:
        model: what is known of it.
        classes: how many it tells apart.
        labels: names by class id, those of the model where none are given; may be empty.

    Raises:
        ModelError: there are more labels than classes, or fewer: they belong to another model, and every name
            after the first gap would be wrong.
    """
    if labels is None:
        labels = model.labels
    if model.labels_numbered and labels:
        labels = (*labels, *[""] * (classes - len(labels)))[:classes]
    if labels and len(labels) != classes:
        origin = f" in {model.labels_from}" if model.labels_from else ""
        raise ModelError(
            f"the model {model.name!r} has {counted(classes, 'class', 'classes')}, but there are "
            f"{len(labels)} labels{origin}",
            hint="Set EDGED_LABELS to the labels it was trained with, one a line in the order of classes",
        )
    return tuple(label_of(labels, class_id) for class_id in range(classes))


def nameless(labels: Sequence[str]) -> bool:
    """Whether no class has a name of its own: neither the model nor a labels file gave any."""
    return bool(labels) and all(label == label_of((), class_id) for class_id, label in enumerate(labels))


def without_background(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Labels without a first line for the background, which no post-processing reports."""
    return labels[1:] if labels and is_background(labels[0]) else labels


def is_background(label: str) -> bool:
    """Whether a label means that nothing is there."""
    return label.strip().lower() in _BACKGROUND
