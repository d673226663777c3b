"""libedgetpu by itself: loading it to look at it. Only in a process that may crash.

Loading the library runs none of what depends on the runtime, so it comes before everything else: a library
that is absent or is none is told by its cause, and the file that was found can be read before it is used.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

from edged.engines.coral import abi
from edged.errors import DeviceError

_ENTRY = "tflite_plugin_create_delegate"
_KINDS = {0: "pci", 1: "usb"}
"""``enum edgetpu_device_type`` of tflite/public/edgetpu_c.h."""


class _Device(ctypes.Structure):
    """``struct edgetpu_device``."""

    _fields_ = (("kind", ctypes.c_int), ("path", ctypes.c_char_p))


@dataclass(frozen=True, slots=True)
class Library:
    """A libedgetpu, loaded."""

    handle: ctypes.CDLL
    path: Path
    """The file that the loader found."""
    built_on: str
    """Commit of TensorFlow; empty if it does not say."""


def load(name: str) -> Library:
    """Load a library as the runtime will do it.

    Args:
        name: a path, or a name that the loader looks for.

    Raises:
        DeviceError: it is not there or no delegate for TFLite.
    """
    try:
        handle = ctypes.CDLL(name)
    except OSError as error:
        if "No such file" in str(error):
            raise DeviceError(
                f"the library {name} for the Edge TPU is not installed",
                hint=f"{abi.INSTALL}, or set EDGED_EDGETPU_LIBRARY to its path",
            ) from error
        raise DeviceError(f"the library {name} cannot be loaded: {error}", hint=abi.INSTALL) from error
    try:
        path = _file_of(ctypes.cast(getattr(handle, _ENTRY), ctypes.c_void_p).value or 0) or Path(name)
    except AttributeError as error:
        raise DeviceError(
            f"the library {name} is not for the Edge TPU: it has no {_ENTRY}",
            hint="Set EDGED_EDGETPU_LIBRARY to libedgetpu.so.1 or its path",
        ) from error
    try:
        return Library(handle, path, abi.commit(path))
    except OSError:
        # It was loaded, so it may be used; only what it was built on stays unknown.
        return Library(handle, path, "")


def devices(library: Library) -> list[tuple[str, str]]:
    """What the library sees: ``usb`` or ``pci``, and its path, in the order in which it counts them.

    Raises:
        DeviceError: the library cannot tell.
    """
    try:
        listing = library.handle.edgetpu_list_devices
        free = library.handle.edgetpu_free_devices
    except AttributeError as error:
        raise DeviceError(f"{library.path} cannot list devices: {error}", hint=abi.INSTALL) from error
    listing.argtypes = [ctypes.POINTER(ctypes.c_size_t)]
    listing.restype = ctypes.POINTER(_Device)
    free.argtypes = [ctypes.POINTER(_Device)]
    free.restype = None
    count = ctypes.c_size_t()
    found = listing(ctypes.byref(count))
    seen = [
        (_KINDS.get(found[number].kind, "unknown"), (found[number].path or b"").decode(errors="replace"))
        for number in range(count.value)
    ]
    if count.value:
        free(found)
    return seen


def _file_of(address: int) -> Path | None:
    """The file whose code lies at an address of this process."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split(maxsplit=5)
        begin, _, end = fields[0].partition("-")
        if int(begin, 16) <= address < int(end, 16):
            return Path(fields[5]) if fields[5:] else None
    return None
