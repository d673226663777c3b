"""What a live source has to know of its camera: how to open it and how to read from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from edged.errors import SourceError

if TYPE_CHECKING:
    from fractions import Fraction

    from edged.pixels import Pixels


class Damaged(Exception):  # noqa: N818  # a picture that does not count, not an error
    """A picture is broken or incomplete; the next one may be whole."""


class Skipped(Exception):  # noqa: N818  # no error
    """Something came that nobody needs a picture of now: nothing moves."""


class Through(Exception):  # noqa: N818  # no error
    """It was a file, and all of it was given."""


def sought_again(error: SourceError, *, also: str = "") -> str:
    """What is told of a camera while it is looked for again: why it is lost, and what that means ``also``."""
    return str(SourceError(f"{error.problem}; it is looked for again{also}", hint=error.hint))


class Camera(Protocol):
    """One connection to a camera, used once, by one thread: ``open``, ``grab`` and ``retrieve``, ``close``.

    ``close`` is also called when ``open`` has failed. What is lost is not looked for again here: the
    :class:`~edged.sources.cameras.live.LiveSource` makes a new one.
    """

    name: str
    """How messages call it: ``the camera '/dev/video0'``; without a password."""
    hint: str
    """What to look after when it gives no pictures."""
    media_time: float | None
    """For a file the time of what was grabbed, seconds since its first picture; None of a camera, where the
    moment counts."""
    pixel: Fraction
    """Width of a pixel by its height, of what was grabbed."""

    def open(self) -> None:
        """Reach it.

        Raises:
            SourceError: it is not there, or refuses.
        """
        ...

    def grab(self) -> bool:
        """Wait for the next picture, without the work of turning it into pixels.

        False is for "not yet": data came that completes no picture. It must come back now and then.

        Raises:
            Damaged: a picture came and is broken.
            Skipped: something came, and there is no need of a picture.
            Through: it was a file, which is through.
            SourceError: the connection is over.
        """
        ...

    def retrieve(self) -> Pixels:
        """The pixels of what was grabbed last; BGR is nobody else's to write into.

        Raises:
            Damaged: they are broken.
        """
        ...

    def properties(self) -> dict[str, Any]:
        """As :meth:`edged.sources.Source.properties`, size excepted; asked after a picture has come."""
        ...

    def interrupt(self) -> None:
        """Make ``open`` or ``grab`` end soon, if there is a way; the only call from another thread."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


@runtime_checkable
class Dated(Protocol):
    """A camera that knows when a picture came, though it was read only later."""

    captured: float | None
    """When what was grabbed came, monotonic seconds that rise; None: when it was grabbed."""
