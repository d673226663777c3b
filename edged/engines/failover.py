"""Going on when an Edge TPU fails: on another one, or on the CPU, until it answers again.

Each worker of the pipeline has a :class:`FailoverEngine`. What it runs on lies in :class:`Slot` objects, one
a device, which the workers share: a worker whose device is lost borrows another worker's, and only if none is
left goes to the CPU. So a frame in flight is run again at once, on what is there, and is never lost silently.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import structlog

from edged import bridge
from edged.backoff import Backoff
from edged.errors import DeviceError, EdgedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edged.engines import Engine
    from edged.records import Tensor, TensorSpec

_JITTER = 0.2
"""Share by which waits differ: several devices that a shaky hub took down together come back one by one."""

log = structlog.get_logger()


def device_backoff() -> Backoff:
    """When a lost device is tried again: one that has worked for a minute is forgiven."""
    return Backoff(1.0, 60.0, steady_s=60.0, spread=_JITTER)


class Slot:
    """The place of one device: with an engine while it answers, without one while it is lost.

    Args:
        device: as in EDGED_DEVICE.
        opens: makes an engine that has answered.
        backoff: when a lost one is tried again.
        clock: seconds; only differences mean something.
    """

    def __init__(
        self,
        device: str,
        opens: Callable[[], Engine],
        backoff: Backoff,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device = device
        self.problem = f"{device} is not open yet"
        """Why it does not run; empty while it does."""
        self.engine: Engine | None = None
        """For what it says of the model; :meth:`invoke` runs it."""
        self.losses = 0
        """How often it has failed since the start."""
        self._opens = opens
        self._backoff = backoff
        self._clock = clock
        self._since = clock()
        self._using = threading.Lock()
        self._closed = threading.Event()

    def open(self) -> None:
        """Open the device for the first time.

        Raises:
            EdgedError: it does not open; :meth:`retry` goes on trying.
        """
        try:
            self._take(self._opens())
        except EdgedError as error:
            self.problem = error.problem
            raise

    def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
        """Run the model; one worker after the other.

        Raises:
            DeviceError: the device failed, now or before. It is tried again in the background.
        """
        with self._using:
            if self.engine is None:
                raise DeviceError(self.problem)
            try:
                return self.engine.invoke(tensor)
            except DeviceError as error:
                self._lose(self.engine, error)
                raise

    def retry(self) -> None:
        """Try the device again in the background until it answers or is closed."""
        self._retry_in(self._backoff.after(0.0))

    def close(self) -> None:
        """Give the device back; an ``invoke`` that waits for it fails."""
        self._closed.set()
        engine = self.engine
        if engine is not None:
            engine.close()

    def _lose(self, engine: Engine, error: DeviceError) -> None:
        engine.close()
        self.engine = None
        self.problem = error.problem
        if self._closed.is_set():
            return
        self.losses += 1
        wait_s = self._backoff.after(self._clock() - self._since)
        log.error("device_lost", device=self.device, reason=str(error), retry_in_s=round(wait_s, 1))
        self._retry_in(wait_s)

    def _retry_in(self, wait_s: float) -> None:
        bridge.start(f"retry-{self.device}", partial(self._bring_back, wait_s))

    def _bring_back(self, wait_s: float) -> None:
        lost = self._clock()
        while not self._closed.wait(wait_s):
            try:
                engine = self._opens()
            except EdgedError as error:
                if error.problem != self.problem:
                    log.warning("device_still_lost", device=self.device, reason=str(error))
                self.problem = error.problem
                wait_s = self._backoff.after(0.0)
                continue
            self._take(engine)
            log.info("device_back", device=self.device, after_s=round(self._clock() - lost, 1))
            return

    def _take(self, engine: Engine) -> None:
        with self._using:
            self._since = self._clock()
            self.engine = engine
            self.problem = ""
        if self._closed.is_set():
            engine.close()


class Shared:
    """An engine that several workers share: one after the other, closed with the last of them."""

    def __init__(self, engine: Engine, users: int) -> None:
        self.engine = engine
        self._users = users
        self._using = threading.Lock()

    def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
        """Run the model.

        Raises:
            DeviceError: it failed.
        """
        with self._using:
            return self.engine.invoke(tensor)

    def close(self) -> None:
        """One user less."""
        with self._using:
            self._users -= 1
            if not self._users:
                self.engine.close()


class FailoverEngine:
    """One worker's engine: its own device, then the others', then the CPU.

    Args:
        slots: its own device first.
        twin: the same model on the CPU, loaded from the start: a twin that does not fit must be found when
            edged starts and not at night, and a frame in flight must not wait for it. That costs 12 to 26 MB
            with the runtime (YOLOv8n 320, SSD 300; measured on x86), about 1 % of a board with 2 GB.
        like: an engine that says what all of them say of the model.
    """

    def __init__(self, slots: Sequence[Slot], twin: Shared | None, like: Engine) -> None:
        self._own, *self._others = slots
        self._twin = twin
        self._closed = False
        self.runtime = like.runtime
        self.inputs: tuple[TensorSpec, ...] = like.inputs
        self.outputs: tuple[TensorSpec, ...] = like.outputs
        self.diverted = 0
        """Frames that ran elsewhere because the own device was lost."""

    @property
    def device(self) -> str:
        """Where the next frame runs."""
        return next(
            (slot.device for slot in self._slots if not slot.problem),
            "cpu" if self._twin else self._own.device,
        )

    @property
    def degraded(self) -> str:
        """Why the own device does not run the model, and what does instead; empty while it does."""
        problem = self._own.problem
        if not problem:
            return ""
        return f"{problem}; {self.device} stands in" if self.device != self._own.device else problem

    @property
    def losses(self) -> int:
        """How often the own device has failed since the start."""
        return self._own.losses

    def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
        """Run the model where it can be run.

        Raises:
            DeviceError: nowhere; the cause is that of the own device.
        """
        failure: DeviceError | None = None
        for slot in self._slots:
            if slot.problem:
                continue
            try:
                outputs = slot.invoke(tensor)
            except DeviceError as error:
                failure = error if slot is self._own else failure
            else:
                self.diverted += slot is not self._own
                return outputs
        if self._closed or self._twin is None:
            raise failure or DeviceError(self._own.problem)
        self.diverted += 1
        return self._twin.invoke(tensor)

    def close(self) -> None:
        """Give the own device back; the others' are theirs to close."""
        self._closed = True
        self._own.close()
        if self._twin is not None:
            self._twin.close()

    @property
    def _slots(self) -> Sequence[Slot]:
        return (self._own, *self._others)
