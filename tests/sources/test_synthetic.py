"""The source of moving shapes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from edged.errors import ConfigError
from edged.settings.declared import Settings
from edged.sources import create
from edged.sources.synthetic import SyntheticSource


def settings(source: str, **others: object) -> Settings:
    """Settings with this source."""
    return Settings(source=source, model=Path("none.tflite"), **others)  # type: ignore[arg-type]


def test_size_count_and_rate_are_as_chosen() -> None:
    """Frames have the chosen size and number, and keep their time."""
    source = create(settings("synthetic:?width=64&height=48&fps=100&count=30&live=false"))
    source.open()
    begun = time.monotonic()
    frames = list(source.frames())
    assert 0.25 < time.monotonic() - begun < 1.0
    assert not source.live
    assert [frame.frame_id for frame in frames] == list(range(30))
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert (frames[0].image != frames[8].image).any()
    assert source.properties() == {"kind": "synthetic", "width": 64, "height": 48, "fps": 100.0}


def test_limit_and_rotation_apply() -> None:
    """EDGED_FPS and EDGED_ROTATE hold for this source as for the others."""
    source = create(settings("synthetic:?width=64&height=48&fps=200&count=40", fps=50, rotate=90))
    source.open()
    frames = list(source.frames())
    assert len(frames) == 10
    assert source.skipped["rate"] == 30
    assert frames[0].image.shape == (64, 48, 3)
    assert source.properties()["width"] == 48


def test_drawing_on_a_frame_leaves_the_others_alone() -> None:
    """Every frame owns its pixels."""
    source = SyntheticSource(width=32, height=32, fps=0, count=40)
    source.open()
    for frame in source.frames():
        assert np.any(frame.image)
        frame.image[:] = 0


@pytest.mark.parametrize(
    "query", ["?width=0", "?fps=-1", "?live=maybe", "?size=3", "?count=x", "?fps=inf", "?fps=nan"]
)
def test_nonsense_is_refused(query: str) -> None:
    """What cannot be is named, with an example of what can."""
    with pytest.raises(ConfigError, match="EDGED_SOURCE"):
        create(settings(f"synthetic:{query}"))
