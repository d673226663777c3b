"""Which camera has which Edge TPU: one runs one model for all who want it, and is opened once."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from edged.errors import ConfigError, EdgedError
from edged.model import file
from edged.settings import device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.settings.declared import Settings

_ANY = {device.AUTO, device.EDGETPU}
_WISH = (
    "model",
    "model_cpu",
    "device",
    "workers",
    "threads",
    "runtime",
    "edgetpu_library",
    "edgetpu_options",
    "device_timeout",
    "invoke_timeout",
)
"""Settings that must be the same for two cameras to share an Edge TPU."""


def check(cameras: Sequence[Settings]) -> None:
    """Refuse what would open one Edge TPU twice: whoever comes second takes it from the first.

    Raises:
        ConfigError: two cameras want one Edge TPU in different ways.
    """
    if len(cameras) == 1:
        return
    for one, other in combinations([camera for camera in cameras if _wants_edge_tpu(camera)], 2):
        differs = [name for name in _WISH if getattr(one, name) != getattr(other, name)]
        shared = set(one.device) & set(other.device)
        unnumbered = _ANY & {*one.device, *other.device}
        if differs and (shared or unnumbered):
            which = f"Edge TPU {min(shared - _ANY)}" if shared - _ANY else "an Edge TPU, and none says which"
            # Sharing some of several Edge TPUs is only told where nothing else differs.
            others = [name for name in differs if name != "device" or not shared] or ["device"]
            names = ", ".join(f"EDGED_{name.upper()}" for name in others)
            raise ConfigError(
                f"the cameras {one.camera!r} and {other.camera!r} want {which}, with another {names}",
                hint="An Edge TPU serves cameras that want the same of it. Give both the same, or each an "
                "Edge TPU with its number (edgetpu:usb:0, edgetpu:usb:1), or one of them EDGED_DEVICE=cpu",
            )


def _wants_edge_tpu(settings: Settings) -> bool:
    if settings.device == (device.CPU,):
        return False
    try:
        return file.read(settings.model).edgetpu
    except EdgedError:
        return False  # whoever opens it says what is wrong
