"""Cameras on the Raspberry Pi's own connector, by its camera program or by picamera2."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from edged.errors import ConfigError
from edged.sources.cameras.live import LiveSource
from edged.sources.cameras.reader import Deadlines
from edged.sources.cameras.rpicam import RpicamCamera, rpicam_program

if TYPE_CHECKING:
    from edged.settings.declared import Settings
    from edged.sources.connection import Camera

_SIZE = (1280, 720)
_FPS = 30.0
_FORMAT = "MJPG"


class CsiSource(LiveSource):
    """``csi:0``: the first camera that libcamera finds.

    The camera program comes first, because a process can be killed when a driver hangs. picamera2 is used
    where there is no such program and it is importable, which in a virtual environment it mostly is not.
    """

    @staticmethod
    def gives_packets(settings: Settings) -> bool:
        """Whether there are packets to be had: its JPEGs, which picamera2 does not give."""
        return (settings.camera_format or _FORMAT) == "MJPG" and not _by_picamera2()

    @classmethod
    def create(cls, settings: Settings) -> CsiSource:
        """As the settings say."""
        number = settings.source.removeprefix("csi:")
        if not (number.isascii() and number.isdecimal()):
            raise ConfigError(
                f"EDGED_SOURCE={settings.source!r} names no camera", hint="Write csi:0, csi:1 ..."
            )
        size, fps = settings.camera_size or _SIZE, settings.camera_fps or _FPS
        pixel_format = settings.camera_format or _FORMAT
        return cls(
            lambda: _camera(int(number), size, fps, pixel_format),
            deadlines=Deadlines(settings.open_timeout, settings.read_timeout),
            fps=settings.fps,
            rotate=settings.rotate,
            waits=settings.policy == "all",
        )


def _camera(number: int, size: tuple[int, int], fps: float, pixel_format: str) -> Camera:
    """The connection of choice; imports only what it needs."""
    if _by_picamera2():
        from edged.sources.cameras.picamera import PicameraCamera  # noqa: PLC0415

        return PicameraCamera(number, size=size, fps=fps)
    return RpicamCamera(number, size=size, fps=fps, pixel_format=pixel_format)


def _by_picamera2() -> bool:
    return rpicam_program() is None and find_spec("picamera2") is not None
