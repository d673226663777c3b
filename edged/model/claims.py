"""Which camera has which Edge TPU: one runs one model for all who want it, and is opened once."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from edged.engines.coral import hardware
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


def check(cameras: Sequence[Settings], root: Path = Path("/")) -> None:
    """Refuse what would open one Edge TPU twice: whoever comes second takes it from the first.

    While none is plugged in, who has a model for the CPU and has not asked for an Edge TPU is no obstacle: of
    one that comes later it takes none away from others.

    Args:
        cameras: settings of each.
        root: of the file system in which Edge TPUs are looked for.

    Raises:
        ConfigError: two cameras want one Edge TPU in different ways.
    """
    if len(cameras) == 1:
        return
    plugged_in = bool(hardware.find(root))
    for one, other in combinations([camera for camera in cameras if _wants_edge_tpu(camera)], 2):
        if not plugged_in and (_gives_way(one) or _gives_way(other)):
            continue
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


def _gives_way(settings: Settings) -> bool:
    """Whether it leaves an Edge TPU to whoever has it."""
    stands_in = settings.model_cpu or file.cpu_build(settings.model)
    return settings.device == (device.AUTO,) and stands_in is not None


def _wants_edge_tpu(settings: Settings) -> bool:
    if settings.device == (device.CPU,):
        return False
    try:
        return file.read(settings.model).edgetpu
    except EdgedError:
        return False  # whoever opens it says what is wrong
