"""Icons of what is common, and names of entities with one rule of capitals."""

from __future__ import annotations

_ICONS = {
    "person": "mdi:account",
    "face": "mdi:face-recognition",
    "bicycle": "mdi:bicycle",
    "car": "mdi:car",
    "motorcycle": "mdi:motorbike",
    "airplane": "mdi:airplane",
    "bus": "mdi:bus",
    "train": "mdi:train",
    "truck": "mdi:truck",
    "boat": "mdi:sail-boat",
    "bird": "mdi:bird",
    "cat": "mdi:cat",
    "dog": "mdi:dog",
    "horse": "mdi:horse",
    "sheep": "mdi:sheep",
    "cow": "mdi:cow",
    "elephant": "mdi:elephant",
    "backpack": "mdi:bag-personal",
    "umbrella": "mdi:umbrella",
    "handbag": "mdi:purse",
    "suitcase": "mdi:bag-suitcase",
    "sports_ball": "mdi:soccer",
    "bottle": "mdi:bottle-wine",
    "cup": "mdi:cup",
    "chair": "mdi:chair-rolling",
    "couch": "mdi:sofa",
    "laptop": "mdi:laptop",
    "cell_phone": "mdi:cellphone",
    "book": "mdi:book",
    "package": "mdi:package-variant-closed",
    "license_plate": "mdi:card-text",
}
_ANYTHING = "mdi:shape"


def icon(label: str) -> str:
    """The icon of a label, which is given as a slug."""
    return _ICONS.get(label, _ANYTHING)


def named(*words: str) -> str:
    """A name of these words: the first letter is a capital, the others are as they were written."""
    name = " ".join(" ".join(words).replace("_", " ").split())
    return name[:1].upper() + name[1:]
