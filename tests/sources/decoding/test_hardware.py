"""Decoding by hardware: there is none here, and that is told and harmless."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import av
import pytest
from av.codec import hwaccel
from loaded import load
from source_clips import make, number_of

from edged.errors import ConfigError
from edged.pixels import Planes, bgr
from edged.sources.decoding import hardware
from edged.sources.decoding.hardware import DecoderChoice
from edged.sources.file import FileSource

if TYPE_CHECKING:
    from pathlib import Path

ABSENT = "d3d11va"
"""Windows has it."""


class Device:
    """Decodes as hardware does, into NV12 and with a context of its own, and breaks after so many packets."""

    is_hwaccel = True

    def __init__(self, own: av.VideoCodecContext, packets: float) -> None:
        self._context: Any = av.CodecContext.create(own.name, "r")
        self._context.extradata = own.extradata
        self._left = packets
        self.thread_count = 0

    @property
    def has_b_frames(self) -> bool:
        """As of its decoder."""
        return bool(self._context.has_b_frames)

    def decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """Its pictures, brought into memory."""
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("Failed to transfer the picture")
        return [picture.reformat(format="nv12") for picture in self._context.decode(packet)]

    def flush_buffers(self) -> None:
        """Begin anew."""
        self._context.flush_buffers()


def with_a_device(monkeypatch: pytest.MonkeyPatch, packets: float = math.inf) -> None:
    """Have a device at hand for every connection; the driver and the transfer are what it stands for."""
    monkeypatch.setattr(hardware, "_opened", lambda own, _device: Device(own, packets))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=30)


def source(clip: Path, decoder: str) -> FileSource:
    return FileSource.create(load(EDGED_SOURCE=str(clip), EDGED_DECODER=decoder))


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


@pytest.mark.parametrize("decoder", ["drm", "auto"])
def test_a_device_that_works_is_told_and_its_pictures_stay_planes(
    clip: Path, decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_device(monkeypatch)
    played = source(clip, decoder)
    played.open()
    frames = list(played.frames())
    assert [number_of(bgr(frame.pixels)) for frame in frames] == list(range(30))
    assert [round(frame.pts * 25) for frame in frames] == list(range(30))
    assert all(isinstance(frame.pixels, Planes) for frame in frames)
    assert played.properties()["decoder"] == ("drm" if decoder == "drm" else "v4l2request")
    assert not played.degraded


def test_a_device_that_breaks_costs_pictures_up_to_a_keyframe_and_none_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packets 13 to 22 fail; software, which begins in the middle of a group, has no picture before 30."""
    clip = make(tmp_path / "clip.mp4", frames=60, b_frames=0, gop=15, scene_cuts=False)
    with_a_device(monkeypatch, 13)
    played = source(clip, "drm")
    played.open()
    frames = list(played.frames())
    assert [number_of(bgr(frame.pixels)) for frame in frames] == [*range(13), *range(30, 60)]
    assert "drm cannot be used (Failed to transfer the picture); software decodes" in played.degraded
    assert played.skipped["corrupt"] == 10


def test_a_name_that_ffmpeg_does_not_know_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"EDGED_DECODER='nonsense'.*not one of auto, software, amf"):
        load(EDGED_DECODER="nonsense")


def test_every_kind_of_device_of_this_ffmpeg_can_be_named() -> None:
    kinds = hwaccel.hwdevices_available()
    assert kinds
    for kind in kinds:
        load(EDGED_DECODER=kind)


def test_it_is_told_whose_ffmpeg_decodes() -> None:
    assert f"PyAV {av.__version__}" in hardware.library()
    assert DecoderChoice().running == "software"
