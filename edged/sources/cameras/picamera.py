"""Cameras on the Raspberry Pi's own connector through picamera2, where Python can import it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from edged.errors import SourceError

if TYPE_CHECKING:
    from edged.records import Image


class PicameraCamera:
    """One opening of a camera by picamera2.

    Args:
        number: of the camera, as libcamera counts.
        size: width and height.
        fps: frames a second.
    """

    hint = "Look after its ribbon cable, and whether another program uses it"
    media_time: float | None = None
    pixel = Fraction(1)

    def __init__(self, number: int, *, size: tuple[int, int], fps: float) -> None:
        self.name = f"the camera 'csi:{number}'"
        self._number = number
        self._size = size
        self._fps = fps
        self._camera: Any = None
        self._image: Image | None = None

    def open(self) -> None:
        """Configure and start it."""
        # Tied to the system's Python, and not there in most environments.
        import picamera2  # type: ignore[import-not-found]  # noqa: PLC0415

        try:
            self._camera = picamera2.Picamera2(self._number)
            # libcamera names formats by their order in a register: RGB888 is blue, green, red in memory.
            self._camera.configure(
                self._camera.create_video_configuration(
                    main={"size": self._size, "format": "RGB888"}, controls={"FrameRate": self._fps}
                )
            )
            self._camera.start()
        except (RuntimeError, IndexError, OSError) as error:
            raise SourceError(f"{self.name} cannot be opened: {error}", hint=self.hint) from error

    def grab(self) -> bool:
        """Wait for the next picture; picamera2 converts it in hardware."""
        try:
            self._image = self._camera.capture_array("main")
        except (RuntimeError, OSError) as error:
            raise SourceError(f"{self.name} has stopped giving pictures: {error}", hint=self.hint) from error
        return True

    def retrieve(self) -> Image:
        """Its pixels, in memory of their own."""
        assert self._image is not None  # noqa: S101  # grab() comes first
        return self._image

    def properties(self) -> dict[str, Any]:
        """Kind, pixel format and the frame rate that was asked for."""
        return {"kind": "csi", "codec": "RGB888", "fps": self._fps}

    def interrupt(self) -> None:
        """picamera2 has no way to end a wait from outside."""

    def close(self) -> None:
        """Let go of the camera."""
        if self._camera is not None:
            self._camera.close()
