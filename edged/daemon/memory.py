"""How the C library keeps memory."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_ARENA_MAX = -8
"""``M_ARENA_MAX`` of glibc's malloc.h."""
_ARENAS = 1


def share() -> None:
    """Have all threads share what was freed; to be called before there are any.

    glibc gives every thread its own place to take memory from, eight a core, and what is free in one is of no
    use to the others. A camera needs most while it is opened, and each has a dozen threads: with one place
    eight cameras take 16 MB less, and cost no more CPU. Other C libraries do not know the wish.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
