"""How settings name devices and options of the Edge TPU. Pure text; knows no device."""

from __future__ import annotations

import re

AUTO = "auto"
CPU = "cpu"
EDGETPU = "edgetpu"
"""Any Edge TPU; a certain one is ``edgetpu:usb:0`` or ``edgetpu:pci:0``."""
_NUMBERED = re.compile(r"edgetpu:(usb|pci):\d{1,2}")
_OPTIONS = {
    # As tflite/public/edgetpu.h of libedgetpu has them; the library refuses others without a word.
    "Performance": re.compile(r"Low|Medium|High|Max"),
    "Usb.AlwaysDfu": re.compile(r"True|False"),
    "Usb.MaxBulkInQueueLength": re.compile(r"[1-9]?\d|1\d\d|2[0-4]\d|25[0-5]"),
}


def devices(text: object) -> object:
    """EDGED_DEVICE: one device, or several Edge TPUs with their numbers.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(text, str):
        return text
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in {AUTO, CPU, EDGETPU} and not _NUMBERED.fullmatch(name):
            raise ValueError(
                f"{name!r} is no device; there are auto, cpu, edgetpu, edgetpu:usb:N, edgetpu:pci:N"
            )
    if len(names) > 1:
        if unnumbered := [name for name in names if not _NUMBERED.fullmatch(name)]:
            raise ValueError(
                f"{unnumbered[0]!r} cannot be one of several; those are Edge TPUs with their numbers"
            )
        if len(set(names)) < len(names):
            raise ValueError("an Edge TPU serves one worker, and one is named twice")
    return names


def options(text: object) -> object:
    """EDGED_EDGETPU_OPTIONS: ``name=value`` pairs, comma separated.

    Raises:
        ValueError: the library has no such option or value.
    """
    if not isinstance(text, str):
        return text
    pairs = []
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in _OPTIONS:
            raise ValueError(f"{name!r} is no option; there are {', '.join(_OPTIONS)}")
        if not _OPTIONS[name].fullmatch(value):
            raise ValueError(f"{value!r} is no value of {name}")
        pairs.append((name, value))
    return tuple(pairs)
