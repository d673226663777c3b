"""Looking after the cameras: whether the start is over, whether a thread hangs, how each of them fares."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from edged.sources import Seeker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edged.daemon.camera import CameraRun
    from edged.daemon.notify import Notifier
    from edged.metrics import FrameCounts
    from edged.records import State

    Progress = Callable[[FrameCounts, State], None]

_TICK_S = 1.0
"""How often the daemon looks at itself."""

log = structlog.get_logger()


class Watch:
    """Tells systemd, and every camera's sinks, how the cameras fare.

    Args:
        cameras: by name, as they come and go.
        notifier: tells systemd.
        progress: called every tick with the frame counts and the state of the only camera.
    """

    def __init__(
        self, cameras: Mapping[str, CameraRun], notifier: Notifier, progress: Progress | None
    ) -> None:
        self.ready = False
        """Whether the start is over."""
        self._cameras = cameras
        self._notifier = notifier
        self._progress = progress

    async def run(self, stats_interval_s: Callable[[], float]) -> None:
        """Every tick: tell what has changed and feed the watchdog; every stats interval: tell the figures."""
        watchdog_s = self._notifier.watchdog_s
        tick_s = _TICK_S if watchdog_s is None else min(_TICK_S, watchdog_s / 4)
        due = time.monotonic() + stats_interval_s()
        while True:
            await asyncio.sleep(max(0.0, min(tick_s, due - time.monotonic())))
            self.look_if_ready()
            # A stall of half the limit ends the feeding, so a restart comes after 1.5 limits at the latest.
            stalled = None if watchdog_s is None else self._stalled(watchdog_s / 2)
            if stalled is None:
                self._notifier.alive()
            else:
                log.error("stalled", thread=stalled, watchdog_s=watchdog_s)
            report = time.monotonic() >= due
            for camera in self._cameras.values():
                camera.tick()
                if report and not camera.over:
                    camera.report()
                self.show(camera)
            self.tell()
            if report:
                due = time.monotonic() + stats_interval_s()

    def look_if_ready(self) -> None:
        """Ready is when a frame of every camera has gone all the way, or it is known why none does."""
        cameras = self._cameras.values()
        if not self.ready and all(_settled(camera) for camera in cameras) and self._alive():
            self.ready = True
            self._notifier.ready()

    def tell(self) -> None:
        """Tell systemd how the cameras fare."""
        words = [f"{name}: {_words(one)}" if name else _words(one) for name, one in self._cameras.items()]
        self._notifier.status(" | ".join(words))

    def show(self, camera: CameraRun) -> None:
        """Tell whoever looks at the progress of the only camera."""
        if self._progress is not None and not camera.name:
            self._progress(camera.ledger.counts(), camera.state)

    def _alive(self) -> bool:
        """Whether there is a camera that works, or may come back."""
        return any(
            _ready(camera) or (bool(camera.name) and not camera.over) for camera in self._cameras.values()
        )

    def _stalled(self, limit_s: float) -> str | None:
        for name, camera in self._cameras.items():
            if camera.pipeline is not None and not camera.over:
                thread = camera.pipeline.stalled(limit_s)
                if thread is not None:
                    return f"{name}: {thread}" if name else thread
        return None


def _ready(camera: CameraRun) -> bool:
    """Whether a frame has gone all the way, or none is wanted."""
    return camera.ledger.counts().inferred > 0 or (camera.switches.paused and camera.pipeline is not None)


def _settled(camera: CameraRun) -> bool:
    """Whether its start is over: a frame has come, or it is known to be lost."""
    if _ready(camera) or camera.over or camera.failure is not None:
        return True
    if not camera.name or camera.assembly is None:
        return False
    source = camera.assembly.intake.source
    return bool(source.problem) and not (isinstance(source, Seeker) and source.seeking)


def _words(camera: CameraRun) -> str:
    """How it fares, in few words."""
    if camera.failure is not None:
        return f"failed: {camera.failure}" + (" It is tried again." if camera.may_recover else "")
    state = camera.state
    words = f"{state.lifecycle}: {camera.metrics.recent_fps:.1f} frames/s on {state.device}"
    return "; ".join([words, *state.degraded]).replace("\n", " ")
