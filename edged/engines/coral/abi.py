"""Which libedgetpu fits which TFLite runtime.

The library and the runtime hand each other C structures that changed from one TensorFlow to the next. What
does not fit ends the process when the model is loaded, or worse, runs on garbage; so it is refused before it
is tried.

A library fits runtimes up to the TensorFlow that it was built on. Google's own is of 2.5 and ends the process
with every runtime that edged runs on; the community's builds of 2.14 and newer fit tflite-runtime 2.14, and
their structures are those of ai-edge-litert 2 (compared in the sources; on hardware unverified).
"""

from __future__ import annotations

import mmap
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BUILT_ON = re.compile(rb"TENSORFLOW_COMMIT=([0-9a-f]{7,40})")
_RELEASES = {
    # First digits of the commits of TensorFlow's releases.
    "a4dfb8d1": (2, 5, 0),
    "a3e2c692": (2, 11, 1),
    "1cb1a030": (2, 13, 0),
    "f841394b": (2, 13, 1),
    "4dacf3f3": (2, 14, 0),
    "6887368d": (2, 15, 0),
    "5bc9d266": (2, 16, 1),
    "ad6d8cc1": (2, 17, 0),
    "3c92ac03": (2, 17, 1),
    "6550e4bd": (2, 18, 0),
    "f4247ebb": (2, 19, 1),
}
_FIRST_FITTING = (2, 14)
BUILDS = "https://github.com/feranick/libedgetpu/releases"
INSTALL = f"Install a libedgetpu built on TensorFlow 2.14 or newer, best 2.19.1, from {BUILDS}"
"""The hint for every library that does not fit."""


def commit(library: Path) -> str:
    """The commit of TensorFlow that a libedgetpu says it was built on; empty if it does not say.

    Raises:
        OSError: the file cannot be read.
    """
    if not library.stat().st_size:
        return ""
    with library.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = _BUILT_ON.search(content)
        return found[1].decode() if found else ""


def release(built_on: str) -> str:
    """The commit as a person would say it."""
    if not built_on:
        return "an unknown TensorFlow"
    known = _RELEASES.get(built_on[:8])
    return f"TensorFlow {'.'.join(map(str, known))}" if known else f"TensorFlow commit {built_on[:8]}"


def misfit(built_on: str, runtime: str) -> str:
    """Why a library built on the commit must not be used with a runtime; empty if nothing speaks against it.

    Args:
        built_on: the commit, empty where it is not known.
        runtime: its name and version, for the sentence.
    """
    known = _RELEASES.get(built_on[:8])
    if known is None or known[:2] >= _FIRST_FITTING:
        return ""
    return f"it was built on {release(built_on)}, whose structures are not those of {runtime}"
