"""The pinned packages for 64-bit ARM install on Debian 12 and 13 and find what they find here.

The machine is emulated program by program (qemu-user), so this shows that everything fits together, not how
fast it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from system.roots import PROJECT, debian
from system.wheels import download

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGES = ("python3", "libstdc++6", "zlib1g", "libffi8", "libexpat1", "coreutils")
_OPENSSL = {"bookworm": "libssl3", "trixie": "libssl3t64"}
_CPUINFO = "".join(
    f"processor\t: {number}\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\n"
    "CPU revision\t: 3\n\n"
    for number in range(4)
)
"""A Raspberry Pi 4: the runtime asks /proc/cpuinfo what it may use, and qemu shows that of the PC."""


@dataclass(frozen=True, slots=True)
class Target:
    """A system and a runtime."""

    suite: str
    python: str
    runtime: str

    def __str__(self) -> str:
        return f"{self.suite}-{self.runtime}"


TARGETS = (
    Target("bookworm", "3.11", "tflite-runtime"),
    Target("bookworm", "3.11", "ai-edge-litert"),
    Target("trixie", "3.13", "ai-edge-litert"),
)


@pytest.fixture(scope="module", autouse=True)
def _emulator() -> None:
    """Let the kernel start programs for ARM."""
    folder = Path("/proc/sys/fs/binfmt_misc")
    if not (folder / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "none", str(folder)], check=True)
    if not (folder / "qemu-aarch64").exists():
        rule = Path("/usr/lib/binfmt.d/qemu-aarch64.conf").read_bytes()
        (folder / "register").write_bytes(rule.rstrip(b"\n"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of the demo's clip."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-ss",
        "3",
        "-i",
        str(PROJECT / "models/demo.mp4"),
        "-t",
        "0.5",
        str(path),
    ]
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="module")
def expected(clip: Path, demo_models: dict[str, Path]) -> list[dict[str, Any]]:
    """What this machine's own installation finds in it."""
    settings = _settings(clip, demo_models["sparse"])
    command = [sys.executable, "-m", "edged", "run"]
    done = subprocess.run(
        command, env=settings | {"PATH": os.environ["PATH"]}, capture_output=True, check=True
    )
    return _frames(done.stdout)


@pytest.fixture(params=TARGETS, ids=str)
def target(request: pytest.FixtureRequest) -> Target:
    """The system and the runtime in question."""
    chosen: Target = request.param
    return chosen


@pytest.fixture
def root(
    target: Target, clip: Path, demo_models: dict[str, Path], wheel: Path, tmp_path: Path
) -> Iterator[Path]:
    """A root folder for ARM with edged, a model and the clip in it."""
    base = debian(target.suite, (*_PACKAGES, _OPENSSL[target.suite]), variant="extract", arch="arm64")
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(root)], check=True)
    # What a package script would have done, and none could run before there were these.
    for name in ("bin", "sbin", "lib"):
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    for name in ("proc", "dev", "srv"):
        (root / name).mkdir(exist_ok=True)
    packages = download(target.runtime, python=target.python, machine="aarch64")
    for package in (wheel, *packages.iterdir()):
        with zipfile.ZipFile(package) as archive:
            archive.extractall(root / "opt/site")
    (root / "srv/cpuinfo").write_text(_CPUINFO)
    shutil.copy(clip, root / "srv")
    shutil.copy(demo_models["sparse"], root / "srv")
    yield root
    shutil.rmtree(root)


@pytest.mark.timeout(600)
def test_it_finds_the_same_on_arm(root: Path, target: Target, expected: list[dict[str, Any]]) -> None:
    """Every frame, the same number of objects with about the same score, and a video that is annotated."""
    model = "/srv/face_detection_full_range_sparse.tflite"
    settings = _settings(Path("/srv/clip.mp4"), Path(model)) | {
        "EDGED_RUNTIME": target.runtime,
        "EDGED_OUTPUT": "/srv/out.mp4",
        "PYTHONPATH": "/opt/site",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    }
    # Mounts that end with the program.
    script = 'mount -t proc proc "$1/proc" && mount --bind "$1/srv/cpuinfo" "$1/proc/cpuinfo" && '
    script += 'mount --bind /dev "$1/dev" && exec chroot "$1" python3 -m edged run'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(root)],
        env=settings,
        capture_output=True,
        timeout=560,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    frames = _frames(done.stdout)
    assert [frame["frame_id"] for frame in frames] == [frame["frame_id"] for frame in expected]
    # The picture itself differs a little: decoding and scaling are written anew for each processor.
    for here, there in zip(expected, frames, strict=True):
        assert _best(there) == pytest.approx(_best(here), abs=0.05)
    assert (root / "srv/out.mp4").stat().st_size > 10_000


def _settings(clip: Path, model: Path) -> dict[str, str]:
    return {"EDGED_SOURCE": str(clip), "EDGED_MODEL": str(model), "EDGED_JSONL": "-", "EDGED_THREADS": "2"}


def _frames(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def _best(frame: dict[str, Any]) -> list[float]:
    """Score and box of the best detection, the box in parts of the frame: one tolerance serves both."""
    found = max(frame["detections"], key=lambda detection: detection["score"])
    return [found["score"], *(side / 640 for side in found["box"])]
