"""Decoding by hardware: there is none here, and that is told and harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import pytest
from av.codec import hwaccel
from source_clips import make

from edged.errors import ConfigError
from edged.settings import loading
from edged.sources.decoding import hardware
from edged.sources.decoding.hardware import DecoderChoice
from edged.sources.file import FileSource

if TYPE_CHECKING:
    from pathlib import Path

ABSENT = "d3d11va"
"""Windows has it."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=30)


def source(clip: Path, decoder: str) -> FileSource:
    environ = {"EDGED_SOURCE": str(clip), "EDGED_MODEL": "m.tflite", "EDGED_DECODER": decoder}
    return FileSource.create(loading.load(None, environ))


@pytest.mark.parametrize("decoder", ["software", "auto"])
def test_without_hardware_software_decodes_and_nobody_is_told(clip: Path, decoder: str) -> None:
    played = source(clip, decoder)
    played.open()
    assert len(list(played.frames())) == 30
    assert not played.degraded
    assert "decoder" not in played.properties()


@pytest.mark.parametrize("decoder", [ABSENT, "vaapi:/dev/dri/renderD999", "cuda"])
def test_a_device_that_is_not_there_is_told_and_software_decodes(clip: Path, decoder: str) -> None:
    played = source(clip, decoder)
    played.open()
    assert len(list(played.frames())) == 30
    assert f"the decoder {decoder} cannot be used" in played.degraded


def test_a_device_that_fails_is_given_up_for_good(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_own: av.VideoCodecContext, _device: str) -> Any:
        # A decoder of another codec stands for a driver that refuses every packet.
        return av.CodecContext.create("png", "r")

    monkeypatch.setattr(hardware, "_opened", broken)
    played = source(clip, "drm")
    played.open()
    assert "the decoder drm cannot be used" in played.degraded
    assert len(list(played.frames())) == 30
    assert played.skipped["corrupt"] == 0


def test_a_name_that_ffmpeg_does_not_know_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"EDGED_DECODER='nonsense'.*not one of auto, software, amf"):
        loading.load(None, {"EDGED_SOURCE": "a.mp4", "EDGED_MODEL": "m.tflite", "EDGED_DECODER": "nonsense"})


def test_every_kind_of_device_of_this_ffmpeg_can_be_named() -> None:
    kinds = hwaccel.hwdevices_available()
    assert kinds
    for kind in kinds:
        loading.load(None, {"EDGED_SOURCE": "a.mp4", "EDGED_MODEL": "m.tflite", "EDGED_DECODER": kind})


def test_it_is_told_whose_ffmpeg_decodes() -> None:
    assert f"PyAV {av.__version__}" in hardware.library()
    assert DecoderChoice().running == "software"
