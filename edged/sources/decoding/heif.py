"""HEIC pictures of phones: a grid of tiles that FFmpeg does not put together, and libheif does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Image

SUFFIXES = frozenset({".heic", ".heif", ".hif"})
_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""Brands of files with pictures in HEVC (ISO 23008-12, 10.2 and annex B); mif1 and msf1 with any."""
_AVIF = frozenset({b"avif", b"avis"})


def is_heif(head: bytes) -> bool:
    """Whether a file that begins so holds such pictures. AVIF, in the same frame, is left to others."""
    size = int.from_bytes(head[:4], "big")
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)) - 3, 4))}
    return head[4:8] == b"ftyp" and head[8:12] in _BRANDS and not brands & _AVIF


def read(path: Path) -> Image:
    """The main picture, upright, BGR.

    Raises:
        SourceError: it is damaged, or the package that reads such files is not installed.
    """
    name = f"the source {str(path)!r}"
    try:
        import pillow_heif  # noqa: PLC0415  # an extra
    except ImportError:
        raise SourceError(
            f"{name} is a HEIC picture, which edged reads with the package pillow-heif only",
            hint="Install it: pip install 'edged[heic]'; or convert it: heif-convert IN.heic OUT.jpg",
        ) from None
    try:
        picture = pillow_heif.open_heif(path).to_pillow().convert("RGB")
        return np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
    except (ValueError, RuntimeError, EOFError, MemoryError, SyntaxError) as error:
        raise SourceError(
            f"{name} is no HEIC picture that can be read", hint="Look at it with 'heif-info'"
        ) from error
