"""The lines of an env file that use all that is plugged in."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edged.settings.cameras import CAMERAS, of_camera

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SOURCE, _DEVICE = "EDGED_SOURCE", "EDGED_DEVICE"


def lines(cameras: Sequence[str], devices: Sequence[str]) -> Iterator[str]:
    """Every camera with a name of its own where there are several, and the Edge TPUs dealt out among them.

    Args:
        cameras: settings that choose a camera, such as ``EDGED_SOURCE=/dev/video0``.
        devices: settings that choose an Edge TPU, such as ``EDGED_DEVICE=edgetpu:usb:0``.
    """
    if len(cameras) <= 1:
        yield from (*cameras, *devices[:1])
        return
    names = list(_names(cameras))
    yield f"{CAMERAS}={','.join(names)}"
    for name, setting in zip(names, cameras, strict=True):
        yield f"{of_camera(_SOURCE, name)}={_value(setting)}"
    if len(devices) == 1:  # they take turns
        yield devices[0]
        return
    if devices:
        for number, name in enumerate(names):
            yield f"{of_camera(_DEVICE, name)}={_value(devices[number % len(devices)])}"


def _value(setting: str) -> str:
    return setting.partition("=")[2]


def _names(cameras: Sequence[str]) -> Iterator[str]:
    """What to call them until somebody knows better: by how they are plugged in."""
    counts: Counter[str] = Counter()
    for setting in cameras:
        kind = "csi" if _value(setting).startswith("csi:") else "usb"
        counts[kind] += 1
        yield f"{kind}{counts[kind]}"
