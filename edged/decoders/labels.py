"""Names of the classes a model tells apart, and whether the labels given are really its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BACKGROUND = frozenset({"background", "__background__", "bg", "unlabeled", "unlabelled", "???"})


def label_of(labels: Sequence[str], class_id: int) -> str:
    """The name of a class, ``class_<id>`` where it has none."""
    if 0 <= class_id < len(labels) and labels[class_id]:
        return labels[class_id]
    return f"class_{class_id}"


def class_names(model: str, labels: Sequence[str], classes: int) -> tuple[str, ...]:
    """A name for each of ``classes`` class ids.

    Args:
        model: its name, for the message.
        labels: names by class id, empty where nobody gave any.
        classes: how many the model tells apart.

    Raises:
        ModelError: there are more labels than classes, or fewer: they belong to another model, and every name
            after the first gap would be wrong.
    """
    if labels and len(labels) != classes:
        raise ModelError(
            f"the model {model!r} tells {classes} classes apart, but there are {len(labels)} labels for it",
            mend="Set EDGED_LABELS to the labels it was trained with, one a line in the order of classes",
        )
    return tuple(label_of(labels, class_id) for class_id in range(classes))


def without_background(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Labels without a first line for the background, which no post-processing reports."""
    return labels[1:] if labels and labels[0].strip().lower() in _BACKGROUND else labels
