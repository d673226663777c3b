"""The package, made from a checkout without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def build(
    checkout: Path, suite: str, wheelhouse: Path, folder: Path, *, umask: int = 0o022, zone: str = "UTC"
) -> Path:
    """The .deb of ``checkout`` for ``suite`` on amd64, not compressed for the sake of time."""
    environment = os.environ | {
        "PYTHON": sys.executable,
        "WHEELHOUSE": str(wheelhouse),
        "COMPRESSION": "none",
        "SOURCE_DATE_EPOCH": "1700000000",
        "TZ": zone,
    }
    command = [str(checkout / "deploy/debian/build.sh"), suite, "amd64", str(folder)]
    done = subprocess.run(command, env=environment, umask=umask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.deb"))
