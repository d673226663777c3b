"""Cutting a stream of JPEG pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sources.connection import Damaged
from edged.sources.packets.jpegs import JpegSplitter

PICTURES = [
    cv2.imencode(".jpg", np.random.default_rng(seed).integers(0, 255, (32, 48, 3), np.uint8))[1].tobytes()
    for seed in range(4)
]


def taken(splitter: JpegSplitter) -> list[bytes]:
    """All pictures that are whole by now."""
    found = []
    while (picture := splitter.take()) is not None:
        found.append(picture)
    return found


@given(st.lists(st.integers(1, 6000), min_size=1, max_size=30))
def test_pictures_come_whole_however_the_bytes_arrive(sizes: list[int]) -> None:
    """However the stream is cut into pieces, the same pictures come out."""
    stream = b"".join(PICTURES)
    splitter = JpegSplitter()
    found = []
    at = 0
    for size in [*sizes, len(stream)]:
        splitter.feed(stream[at : at + size])
        found += taken(splitter)
        at += size
    assert found == PICTURES


def test_picture_comes_with_its_last_byte() -> None:
    """Nobody waits for the next picture to begin."""
    splitter = JpegSplitter()
    splitter.feed(PICTURES[0][:-1])
    assert splitter.take() is None
    splitter.feed(PICTURES[0][-1:])
    assert splitter.take() == PICTURES[0]


def test_noise_between_pictures_is_dropped() -> None:
    """What is no picture is passed over."""
    splitter = JpegSplitter()
    splitter.feed(b"noise\xff" + PICTURES[0] + b"\x00\xff\xd8more" + PICTURES[1])
    assert taken(splitter) == PICTURES[:2]


def test_picture_without_end_is_damaged_and_the_next_comes() -> None:
    """A picture that another one interrupts is told once; the other is whole."""
    splitter = JpegSplitter()
    splitter.feed(PICTURES[0][:200] + PICTURES[1])
    with pytest.raises(Damaged):
        splitter.take()
    assert taken(splitter) == [PICTURES[1]]


def test_endless_nonsense_takes_no_memory() -> None:
    """A stream that never ends a picture does not grow without bound."""
    splitter = JpegSplitter()
    splitter.feed(PICTURES[0][:200])
    for _ in range(80):
        splitter.feed(bytes(1 << 20))
        splitter.take()
        assert len(splitter._data) <= 33 << 20  # noqa: SLF001  # the bound is the promise
    splitter.feed(PICTURES[1])
    assert taken(splitter) == [PICTURES[1]]
