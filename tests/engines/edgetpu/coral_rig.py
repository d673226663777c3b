"""A fake Edge TPU to plug in and out."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("fake_edgetpu.c")
CLASSIFIER = "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
"""Runs on the device as a whole, so its output depends on what the fake makes of the input."""
CLASSIFIER_TWIN = "mobilenet_v1_0.25_128_quant.tflite"
DETECTOR = "yolov8n_320_full_integer_quant_edgetpu.tflite"
DETECTOR_TWIN = "yolov8n_320_full_integer_quant_oddscale.tflite"


def build(folder: Path, *, built_on: str = "") -> Path:
    """The fake library, claiming to be built on a commit of TensorFlow."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc, which builds the fake Edge TPU, is not installed")
    library = folder / f"libedgetpu{built_on[:8]}.so.1"
    define = [f'-DBUILT_ON="{built_on}"'] if built_on else []
    flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", *define]
    subprocess.run(["gcc", *flags, "-o", str(library), str(SOURCE)], check=True)
    return library


@dataclass(frozen=True)
class Plug:
    """The file that stands for the fake devices."""

    path: Path

    def put(self, words: str = "") -> None:
        """Plug them in, to behave as the words say."""
        # The daemon may read it at any moment: never half a file.
        new = self.path.with_suffix(".new")
        new.write_text(words)
        new.rename(self.path)

    def pull(self) -> None:
        """Unplug them."""
        self.path.unlink(missing_ok=True)

    def opened(self) -> list[str]:
        """Every opening so far: device and options."""
        log = self.path.with_name(self.path.name + ".log")
        return log.read_text().splitlines() if log.exists() else []


def gone(pid: int) -> bool:
    """Whether a process has ended; one that only waits to be reaped has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in {"Z", "X"}


def children(pid: int | str = "self") -> set[int]:
    """Living children of a process."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            found |= {int(child) for child in (task / "children").read_text().split()}
    return {child for child in found if not gone(child)}
