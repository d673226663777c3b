"""The cameras of the daemon: each opens, runs, fails, is tried again and ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from edged.daemon.camera import CameraRun
from edged.daemon.outcome import Outcome, together
from edged.daemon.stop_budget import Stopped
from edged.errors import DeviceError, EdgedError, SinkError, SourceError
from edged.model import claims
from edged.sources import Seeker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from edged.daemon.assembly import Daemon
    from edged.daemon.reload import Prepared
    from edged.daemon.retries import Retries
    from edged.durable.owner import Owner
    from edged.settings.declared import Settings

log = structlog.get_logger()


class Cameras:
    """Runs cameras side by side until none is left that runs.

    Args:
        settings: of each.
        daemon: what is around them.
        retries: says when one that has failed is tried again.
        ended: called when the run of one has come to its end, with whether it was the last one.
    """

    def __init__(
        self,
        settings: Sequence[Settings],
        daemon: Daemon,
        retries: Retries,
        ended: Callable[[CameraRun, bool], None],
    ) -> None:
        self.by_name = {camera.name: camera for camera in (CameraRun(one, daemon) for one in settings)}
        """Those that have failed, too."""
        self._daemon = daemon
        self._retries = retries
        self._ended = ended
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._failed: Exception | None = None
        self._stopping = False

    async def open(self) -> None:
        """Open the cameras side by side.

        Raises:
            EdgedError: a setting is wrong, or no camera opens; nothing stays open.
        """
        cameras = list(self.by_name.values())
        written = [camera.settings for camera in cameras]
        await self._daemon.run_unless_stopped("check-edge-tpus", lambda: claims.check(written))
        results = await asyncio.gather(*(camera.open() for camera in cameras), return_exceptions=True)
        wrong = [result for result in results if isinstance(result, BaseException)]
        final = [error for error in wrong if not isinstance(error, SourceError | DeviceError | SinkError)]
        if wrong and (final or len(wrong) == len(cameras)):
            await asyncio.gather(*(self._daemon.close(camera.closers()) for camera in cameras))
            raise (final or wrong)[0]
        for camera, result in zip(cameras, results, strict=True):
            if isinstance(result, EdgedError):
                camera.failure = result
                self._try_again(camera, good_s=0.0)

    async def run(self) -> None:
        """Until no camera runs any more; one that waits to be tried again does not run."""
        for camera in self.by_name.values():
            self._begin(camera)
        while running := [run for run in self._runs.values() if not run.done()]:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)

    def stop(self) -> None:
        """End all sources, of cameras that begin just now, too; what was taken drains."""
        self._stopping = True
        for camera in self.by_name.values():
            camera.stop()

    def outcome(self, *, stopped: bool) -> Outcome:
        """What the runs came to.

        Raises:
            EdgedError: all cameras have failed, or one has and nobody has ``stopped`` the others.
            Exception: what nobody foresaw has ended the only camera.
        """
        for run in self._runs.values():
            if (error := run.exception()) is not None:
                raise error
        failures = [camera.failure for camera in self.by_name.values() if camera.failure is not None]
        # One that is lost does not end the others, but who waits for the end of files must hear of it.
        if failures and (len(failures) == len(self.by_name) or not stopped):
            raise failures[0]
        if self._failed is not None:
            raise self._failed
        return together(self._outcomes)

    async def renew(self, prepared: Prepared, wanted: Collection[str]) -> None:
        """Go on with what a reload has prepared; cameras that are not ``wanted`` any more stop."""
        failed = {name for name in wanted if name in self.by_name and self.by_name[name].failure is not None}
        for name in self.by_name.keys() - prepared.kept.keys() - prepared.fresh.keys() - failed:
            self.by_name[name].stop()  # its run closes what is its own
            self.by_name.pop(name)
        for name, parts in prepared.kept.items():
            try:
                await self.by_name[name].exchange(parts)
            except EdgedError:
                if not name:
                    raise
                # It has ended meanwhile: the others go on, and it is tried again with what is written now.
        for name, camera in prepared.fresh.items():
            self.by_name[name] = camera
            self._begin(camera)

    def differ(self, owner: Owner) -> bool:
        """Whether parts are open that took the node for another daemon's though it is ours, or for ours."""
        open_ones = (camera for camera in self.by_name.values() if camera.assembly is not None)
        return any(camera.settings.node_in_use == owner.has_node for camera in open_ones)

    def hurry(self) -> None:
        """Try again at once what has failed: somebody may have mended it."""
        self._retries.hurry()

    async def revive(self) -> None:
        """Try again those cameras that have failed and whose time has come."""
        for name in self._retries.due():
            failed = self.by_name.get(name)
            if failed is None or failed.failure is None:
                continue
            camera = CameraRun(failed.switches.written, self._daemon, before=failed)
            try:
                await camera.open()
            except EdgedError as error:
                failed.failure = error
                self._try_again(failed, good_s=0.0)  # however long it ran before
                continue
            except Stopped:
                raise
            except Exception as error:  # what nobody foresaw must not end the others
                log.exception("camera_broken", camera=name)
                failed.failure = EdgedError(f"a mistake in edged keeps it from beginning: {error!r}")
                self._try_again(failed, good_s=0.0)
                continue
            self.by_name[name] = camera
            self._begin(camera)
            log.info("camera_tried_again", camera=name)

    def _begin(self, camera: CameraRun) -> None:
        if camera.failure is None:
            if self._stopping:
                camera.stop()
            self._runs[camera.name] = asyncio.create_task(self._live(camera), name=f"camera-{camera.name}")

    async def _live(self, camera: CameraRun) -> None:
        """One camera from its first frame to its last part closed."""
        try:
            with contextlib.suppress(EdgedError):  # the camera knows
                self._outcomes[camera.name] = await camera.run()
        finally:
            others = (run for run in self._runs.values() if run is not asyncio.current_task())
            self._ended(camera, all(run.done() for run in others))
            failed = await self._daemon.close(camera.closers())
            camera.closed()
            self._hand_on(camera.settings.source)
            if camera.failure is None:
                self._failed = self._failed or failed
            self._try_again(camera, camera.good_s)

    def _hand_on(self, freed: str) -> None:
        """Have who waits for a source open it now: a camera with another name waits for its former self."""
        for camera in self.by_name.values():
            if camera.assembly is not None and camera.settings.source == freed:
                if isinstance(source := camera.assembly.intake.source, Seeker):
                    source.hurry()
                if (beside := camera.assembly.beside) is not None:
                    beside.hurry()

    def _try_again(self, camera: CameraRun, good_s: float) -> None:
        """Tell that a camera has failed that worked for ``good_s``, and when it is tried again."""
        if camera.failure is None or not camera.name:
            return
        again_in_s = None
        if camera.may_recover:
            again_in_s = round(self._retries.failed(camera.name, good_s), 1)
        log.error("camera_failed", camera=camera.name, error=str(camera.failure), again_in_s=again_in_s)
