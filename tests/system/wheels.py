"""Packages for other systems than this one, exactly as deploy/requirements pins them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING

from system.roots import CACHE, PROJECT, kept

if TYPE_CHECKING:
    from pathlib import Path

_GLIBC = ("2_36", "2_34", "2_28", "2_27", "2_17")
"""That of Debian 12, and the older ones that packages are built for."""


def download(runtime: str, *, python: str, machine: str) -> Path:
    """A folder with the packages for a runtime on a Python and a machine, and with those that build edged."""
    names = (f"{runtime}-py{python.replace('.', '')}.txt", "build.txt")
    files = [PROJECT / "deploy/requirements" / name for name in names]
    pinned = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    folder = CACHE / f"wheels-{runtime}-py{python}-{machine}-{pinned}"
    with kept(folder) as missing:
        if missing:
            target = ["--python-version", python, "--implementation", "cp"]
            target += ["--platform", f"manylinux2014_{machine}"]
            target += [
                option for glibc in _GLIBC for option in ("--platform", f"manylinux_{glibc}_{machine}")
            ]
            part = folder.with_name(f"{folder.name}.part")
            for file in files:
                hashed = ["--require-hashes", "--only-binary=:all:", f"--requirement={file}"]
                pip("download", *hashed, *target, f"--dest={part}")
            part.rename(folder)
    return folder


def pip(command: str, *options: str) -> None:
    """Run this machine's pip."""
    call = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*call, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
