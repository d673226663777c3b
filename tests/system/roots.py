"""Root folders of Debian systems, made once and kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
CACHE = Path(os.environ.get("EDGED_SYSTEM_CACHE") or "/var/tmp/edged-system")  # noqa: S108  # made by root
"""Where roots and wheels are kept from run to run."""

BOOTABLE = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "python3",
    "python3-apt",
    "python3-venv",
    "mosquitto",
    "mosquitto-clients",
    "iproute2",
    "openssl",
    "openssh-server",
    "procps",
    "udev",
)
"""What a machine has on which edged is installed: no more than the README asks for, a broker, and ssh."""


def debian(suite: str, packages: tuple[str, ...], *, variant: str = "minbase", arch: str = "amd64") -> Path:
    """The root folder of a Debian system with these packages."""
    key = hashlib.sha256(" ".join((suite, variant, arch, *sorted(packages))).encode()).hexdigest()[:12]
    root = CACHE / f"{suite}-{arch}-{key}"
    with kept(root) as missing:
        if missing:
            part = root.with_name(f"{root.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            command = ["mmdebstrap", "--quiet", f"--variant={variant}", f"--arch={arch}"]
            command += [f"--include={','.join(packages)}", suite, str(part)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-2000:]
            part.rename(root)
    return root


@contextmanager
def kept(folder: Path) -> Iterator[bool]:
    """Whether a folder in the cache must still be made, while nobody else makes it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not folder.is_dir()
