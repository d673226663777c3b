"""How the C library keeps memory."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# Numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE = 4 << 20
"""Bytes from which on memory is taken from the kernel by itself: a picture of 720p in BGR is smaller."""
_KEPT = 16 << 20
"""Bytes that are free at the end of what was taken, and stay."""


def share() -> None:
    """Have all threads share what was freed; to be called before there are any.

    glibc gives every thread its own place to take memory from, eight a core, and what is free in one is of no
    use to the others. A camera needs most while it is opened, and each has a dozen threads: with one place
    eight cameras take 16 MB less, and cost no more CPU. Other C libraries do not know the wish.

    What is free at the end of that place, up to 16 MB, is not given back to the kernel: the memory of a BGR
    frame that went came back as pages to be made anew, 35 of them a frame of 640x480, which was a seventh of
    the CPU beside a small model. What a camera takes in one piece while it is opened is larger, and goes back
    whole: kept, too, it left holes that nothing else fitted, 34 MB of them with eight cameras.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 1)
        if mallopt(_M_MMAP_THRESHOLD, _LARGE):  # where it is refused (32 bits), the other would make it worse
            mallopt(_M_TRIM_THRESHOLD, _KEPT)
