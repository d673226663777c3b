"""Which decoder takes a stream: FFmpeg on the CPU, or the hardware of this machine through it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    import av

log = structlog.get_logger()

SOFTWARE = "software"
AUTO = "auto"
_BY_ITSELF = ("v4l2request", "drm", "vaapi", "videotoolbox")
"""What ``auto`` tries. The others take much memory, or belong to somebody's display: by name only."""


class DecoderChoice:
    """Chooses the decoder of every connection of a source, and lives as long as it does.

    Args:
        wanted: value of EDGED_DECODER: ``auto``, ``software``, or a kind of device as FFmpeg calls it,
            perhaps with the device itself behind a colon.
    """

    def __init__(self, wanted: str = SOFTWARE) -> None:
        self.running = SOFTWARE
        """What decodes the present connection."""
        self.problem = ""
        """Why the device that was asked for does not decode; empty where it does, or none was asked for."""
        self._wanted = wanted
        self._failed = False

    def context(self, own: av.VideoCodecContext) -> av.VideoCodecContext:
        """The decoder for a stream: on a device, or ``own``, FFmpeg's on the CPU, if no device works."""
        self.running = SOFTWARE
        if self._wanted == SOFTWARE or self._failed:
            return own
        reason = ""
        for device in _BY_ITSELF if self._wanted == AUTO else (self._wanted,):
            try:
                context = _opened(own, device)
            except Exception as error:  # noqa: BLE001  # whatever a driver makes of it: there is another way
                reason = f"{type(error).__name__}: {error}"
                continue
            if context is not None:
                self.running = device
                return context
            reason = f"the FFmpeg of this PyAV has no such decoder for {own.name}"
        if self._wanted != AUTO:
            self._tell(reason)
        return own

    def failed(self, reason: str) -> None:
        """The device does not decode: from now on FFmpeg does."""
        self._failed = True
        self._tell(reason)
        self.running = SOFTWARE

    def _tell(self, reason: str) -> None:
        device = self.running if self.running != SOFTWARE else self._wanted
        problem = f"the decoder {device} cannot be used ({reason}); software decodes"
        if problem != self.problem:
            log.warning("decoder_fell_back", decoder=device, reason=reason)
        self.problem = problem


def library() -> str:
    """Which PyAV there is and with whose FFmpeg, in words."""
    import av  # noqa: PLC0415  # slow to import

    bundled = Path(av.__file__).parent.with_name("av.libs").is_dir()
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    whose = "from a wheel" if bundled else "with the system's FFmpeg"
    return f"PyAV {av.__version__} {whose}, libavcodec {version}"


def _opened(own: av.VideoCodecContext, device: str) -> av.VideoCodecContext | None:
    """A decoder on a device; None where FFmpeg has none for this codec there."""
    import av  # noqa: PLC0415  # slow to import
    from av.codec.hwaccel import HWAccel, hwdevices_available  # noqa: PLC0415

    kind, _, which = device.partition(":")
    if kind not in hwdevices_available():
        return None
    hwaccel = HWAccel(kind, device=which or None, allow_software_fallback=False)
    context: Any = av.CodecContext.create(own.name, "r", hwaccel=hwaccel)
    if not getattr(context, "is_hwaccel", False):
        return None
    context.extradata = own.extradata
    return context  # type: ignore[no-any-return]  # of a video codec
