"""HEIC pictures, as phones write them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edged.errors import SourceError
from edged.sources.decoding.heif import is_heif
from edged.sources.file import FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Frame, Image


def library() -> Any:
    return pytest.importorskip("pillow_heif", reason="pillow-heif is not installed (extra heic)")


def corners(size: tuple[int, int] = (1400, 1000)) -> Image:
    """A colour in each quarter."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (220, 40, 30)
    image[: height // 2, width // 2 :] = (30, 200, 40)
    image[height // 2 :, : width // 2] = (40, 30, 210)
    return image


def write(path: Path, image: Image) -> Path:
    height, width = image.shape[:2]
    rgb = np.ascontiguousarray(image[:, :, ::-1])
    library().from_bytes("RGB", (width, height), rgb.tobytes()).save(path, quality=90)
    return path


def played(source: FileSource) -> tuple[list[Frame], str]:
    source.open()
    frames: list[Frame] = []
    try:
        frames.extend(source.frames())
    except SourceError as error:
        return frames, str(error)
    return frames, ""


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "sony.hif", "renamed.jpg"])
def test_the_whole_picture_is_looked_at(tmp_path: Path, name: str) -> None:
    path = tmp_path / "written.heic"
    write(path, corners()).rename(tmp_path / name)
    frames, error = played(FileSource(str(tmp_path)))
    assert error == ""
    assert [frame.image.shape for frame in frames] == [(1000, 1400, 3)]
    for y, x in ((250, 350), (250, 1050), (750, 350), (750, 1050)):
        assert np.abs(frames[0].image[y, x].astype(int) - corners()[y, x]).max() < 12
    turned, _ = played(FileSource(str(tmp_path / name), rotate=90))
    assert turned[0].image.shape == (1400, 1000, 3)


def test_a_cut_one_costs_only_itself(tmp_path: Path) -> None:
    data = write(tmp_path / "1.heic", corners()).read_bytes()
    write(tmp_path / "3.heic", corners())
    (tmp_path / "2.heic").write_bytes(data[: len(data) // 2])
    frames, error = played(FileSource(str(tmp_path)))
    assert len(frames) == 2
    assert "2.heic" in error
    assert "HEIC" in error or "cut short" in error


def test_without_the_package_it_is_refused_by_name(tmp_path: Path) -> None:
    """And with what to do about it."""
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100))
    program = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from edged.sources.file import FileSource\n"
        f"try: FileSource({str(path)!r}).open()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said.startswith("SourceError")
    assert str(path) in said
    assert "edged[heic]" in said


@pytest.mark.parametrize(
    ("brands", "expected"),
    [
        (b"heic\0\0\0\0mif1heic", True),
        (b"mif1\0\0\0\0mif1heic", True),
        (b"mif1\0\0\0\0mif1avif", False),
        (b"avif\0\0\0\0avifmif1", False),
        (b"isom\0\0\2\0isomavc1", False),
    ],
)
def test_brands_tell_what_it_is(brands: bytes, expected: bool) -> None:  # noqa: FBT001
    head = (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands
    assert is_heif(head + bytes(40)) == expected
    assert not is_heif(b"\xff\xd8\xff\xe0" + bytes(60))
