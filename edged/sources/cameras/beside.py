"""A camera's large stream beside the small one that is looked at: its packets go by, nothing is decoded."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from edged import bridge
from edged.backoff import Backoff
from edged.errors import SourceError
from edged.settings.secrets import words_of
from edged.sources.connection import Damaged, Through, sought_again
from edged.sources.packets.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import av

    from edged.sources.packets.tap import PacketForm, PacketListener

_SOUGHT = "no packet has come yet"
_CLOSE_S = 1.0

log = structlog.get_logger()


class PacketCamera(Protocol):
    """One connection, used once, by one thread."""

    name: str
    tap: Tap

    def open(self) -> None:
        """Reach it."""
        ...

    def pass_on(self) -> None:
        """Hand the next packet to the tap; nothing is decoded."""
        ...

    def interrupt(self) -> None:
        """Make the other calls end soon, if there is a way; from another thread."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class PassingStream:
    """Reads a stream and finds it again when it is lost, whatever becomes of the other one.

    Args:
        connect: makes the next connection, not yet open.
        sideways: whether what is looked at is turned by a quarter: its size is, too.
        backoff: how long to wait between attempts.
    """

    def __init__(
        self, connect: Callable[[], PacketCamera], *, sideways: bool = False, backoff: Backoff | None = None
    ) -> None:
        self.problem = ""
        """Why no packets come at the moment; empty while they do."""
        self.size: tuple[int, int] | None = None
        """Width and height of its pictures, pixels, turned as the frames are; None until it is known."""
        self.codec = ""
        """FFmpeg's name of what came first of a connection."""
        self._sideways = sideways
        self._tap = Tap()
        self._tap.hand_to([self])
        self._connect = connect
        self._backoff = backoff or Backoff()
        self._stopped = False
        self._changed = threading.Condition()
        self._hurried = False
        """Whether the next attempt is to come at once."""
        self._came = threading.Event()
        self._ended = threading.Event()
        self._camera: PacketCamera | None = None
        self._lost = False
        self._since: float | None = None

    def open(self) -> None:
        """Begin to read; does not wait for it."""
        self.problem = _SOUGHT
        bridge.start("stream-beside", self._run)

    def wait(self, limit_s: float) -> None:
        """Until a first packet has come.

        Raises:
            SourceError: none came in time.
        """
        if not self._came.wait(limit_s):
            problem = self.problem
            hint = "Look after the camera and the network; 'ffprobe' shows what comes from that address"
            raise SourceError(
                f"EDGED_SOURCE gives nothing to record: {problem}",
                hint=hint if problem == _SOUGHT else "",  # else it says itself what to do
            )

    def hand_to(self, listeners: Iterable[PacketListener]) -> None:
        """From the next packet on hand all of them to these. From any thread."""
        self._tap.hand_to([self, *listeners])

    def hurry(self) -> None:
        """Look for a lost stream at once: what was in the way may be gone. From any thread."""
        with self._changed:
            self._hurried = bool(self.problem)
            self._changed.notify_all()

    def close(self) -> None:
        """Hang up; a thread that is stuck does so when it comes back."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if (camera := self._camera) is not None:
            camera.interrupt()
        self._ended.wait(_CLOSE_S)

    # To its own tap, in its own thread.

    @property
    def listens(self) -> bool:
        """Whether it wants packets: always."""
        return True

    def packet(self, packet: av.Packet[Any], form: PacketForm) -> None:
        """Note that packets come, and of what size."""
        del packet
        if form.width:
            self.size = (form.height, form.width) if self._sideways else (form.width, form.height)
        if self.problem:
            with self._changed:
                self.problem, self._hurried = "", False
        if not self._came.is_set():
            self.codec = form.codec
            self._came.set()
            self._since = time.monotonic()
            if self._lost:
                self._lost = False
                log.info("recorded_stream_back")

    def connection_ended(self) -> None:
        """What has come says nothing of the next connection."""
        self._came.clear()

    def _run(self) -> None:
        try:
            while not self._stopped:
                camera = self._camera = self._connect()
                camera.tap = self._tap
                try:
                    self._read(camera)
                finally:
                    camera.close()
                # Only now: what came is stored, and the camera need not keep a connection that has failed.
                self._pause()
        finally:
            self._ended.set()

    def _read(self, camera: PacketCamera) -> None:
        try:
            camera.open()
            while not self._stopped:
                try:
                    camera.pass_on()
                except Damaged:
                    continue
        except Through:
            self._lose(camera, SourceError(f"{camera.name} has ended"))
        except SourceError as error:
            self._lose(camera, error)
        except Exception as error:  # noqa: BLE001  # what a library makes of garbage is one more loss
            self._lose(camera, SourceError(f"{camera.name} failed: {words_of(error)}"))

    def _lose(self, camera: PacketCamera, error: SourceError) -> None:
        if self._stopped:
            return
        problem = sought_again(error, also=", and nothing is recorded")
        tell = log.debug if problem == self.problem else log.warning
        tell("recorded_stream_lost", source=camera.name, problem=problem)
        self.problem, self._lost = problem, True

    def _pause(self) -> None:
        good_s = 0.0 if self._since is None else time.monotonic() - self._since
        self._since = None
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._hurried, self._backoff.after(good_s))
            self._hurried = False
