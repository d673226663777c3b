"""The running daemon: signals, reload, watchdog and one stop budget, around its cameras."""

from __future__ import annotations

import asyncio
import hashlib
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import structlog

from edged import bridge
from edged.daemon import logs
from edged.daemon.camera import CameraRun
from edged.daemon.ending import StopBudget
from edged.daemon.notify import Notifier
from edged.daemon.outcome import Outcome, together
from edged.daemon.renewal import prepare
from edged.daemon.watch import Watch
from edged.engines.pool import EnginePools
from edged.errors import ConfigError, DeviceError, EdgedError, SinkError, SourceError
from edged.settings import environment
from edged.settings.declared import Settings
from edged.sinks.lending import Lender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edged.daemon.watch import Progress

T = TypeVar("T")

_PATIENCE_S = 30.0
"""How much longer systemd is asked to wait while something slow is opened, again and again."""

log = structlog.get_logger()


async def serve(
    settings: Settings | Sequence[Settings],
    *,
    reread: Callable[[], Settings | Sequence[Settings]] | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Run one daemon until its sources end or a signal comes.

    Args:
        settings: what to do, for one camera or for each.
        reread: gives the settings anew for a reload; without it a reload is refused.
        progress: called every second with the frame counts and the state of the only camera.

    Raises:
        EdgedError: a part could not be opened, or failed for good; of several cameras all have.
    """
    return await _Service(_each(settings), reread, progress).run()


def _each(settings: Settings | Sequence[Settings]) -> Sequence[Settings]:
    return (settings,) if isinstance(settings, Settings) else settings


class _Stopped(Exception):  # noqa: N818  # a signal, not an error
    """A stop was asked for before there was anything to stop."""


@contextmanager
def _signals(
    loop: asyncio.AbstractEventLoop, actions: Mapping[signal.Signals, Callable[[], object]]
) -> Iterator[None]:
    """Obey signals for a while."""
    for number, action in actions.items():
        loop.add_signal_handler(number, action)
    try:
        yield
    finally:
        for number in actions:
            loop.remove_signal_handler(number)


class _Service:
    """One daemon with its cameras; ``run`` is called once."""

    def __init__(
        self,
        settings: Sequence[Settings],
        reread: Callable[[], Settings | Sequence[Settings]] | None,
        progress: Progress | None,
    ) -> None:
        self.boot_id = uuid4().hex
        self.pools = EnginePools()
        sources = "\n".join(sorted(one.source for one in settings))
        self.lender = Lender(hashlib.sha256(sources.encode()).hexdigest()[:8])
        self.lender.cameras = frozenset(one.camera for one in settings)
        self._settings = settings[0]
        """For what holds for the whole node."""
        self._written = settings
        """Of every camera, as they were last read."""
        self._reading = False
        """Whether a reload reads them again."""
        self._reread = reread
        self._notifier = Notifier(environment.service_manager())
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._budget = StopBudget(settings[0].stop_timeout)
        self.close = self._budget.close
        self._reload_asked = asyncio.Event()
        self._cameras = {camera.name: camera for camera in (CameraRun(one, self) for one in settings)}
        self._watch = Watch(self._cameras, self._notifier, progress)
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._failed: Exception | None = None

    async def run(self) -> Outcome:
        """From the first part opened to the last one closed."""
        actions: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGTERM: lambda: self._ask_to_stop(signal.SIGTERM),
            signal.SIGINT: lambda: self._ask_to_stop(signal.SIGINT),
            signal.SIGHUP: self._ask_to_reload,
        }
        with _signals(self._loop, actions):
            try:
                await self._open(list(self._cameras.values()))
            except _Stopped:
                return Outcome(next(iter(self._cameras.values())).ledger.counts(), {}, 0.0)
            self._loop.call_soon(self._watch.tell)
            await self._drive()
            self._notifier.stopping()
            if self._failed is not None:
                raise self._failed
            return together(self._outcomes)

    # What cameras need of the daemon.

    def reload(self) -> str:
        """Read the settings again; how it went is told in the log and in the state."""
        if self._reread is None:
            raise ConfigError("there is no env file to read again", hint="Start edged with --env-file FILE")
        self._loop.call_soon_threadsafe(self._ask_to_reload)
        return "reloading"

    def adjust(self) -> None:
        """Put in force what was switched, without reading the settings again."""
        self._loop.call_soon_threadsafe(self._reload_asked.set)

    def soon(self, do: Callable[[], None]) -> None:
        """Have something done in the event loop; safe from any thread."""
        self._loop.call_soon_threadsafe(do)

    async def run_unless_stopped(self, name: str, function: Callable[[], T], /) -> T:
        """Run something slow in a thread. A stop does not wait for it; systemd is asked to."""
        work = bridge.run(name, function)
        stop = asyncio.create_task(self._stopping.wait(), name=f"stop-{name}")
        try:
            while not work.done() and not self._stopping.is_set():
                self._notifier.extend(_PATIENCE_S)
                either: list[asyncio.Future[Any]] = [work, stop]
                await asyncio.wait(either, timeout=_PATIENCE_S / 3, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        if not work.done():
            work.cancel()
            raise _Stopped
        return work.result()

    # The cameras' lives.

    async def _open(self, cameras: Sequence[CameraRun]) -> None:
        """Open the cameras side by side.

        Raises:
            EdgedError: a setting is wrong, or no camera opens; nothing stays open.
        """
        results = await asyncio.gather(*(camera.open() for camera in cameras), return_exceptions=True)
        wrong = [result for result in results if isinstance(result, BaseException)]
        final = [error for error in wrong if not isinstance(error, SourceError | DeviceError | SinkError)]
        if wrong and (final or len(wrong) == len(cameras)):
            await asyncio.gather(*(self.close(camera.closers()) for camera in cameras))
            raise (final or wrong)[0]
        for camera, result in zip(cameras, results, strict=True):
            if isinstance(result, EdgedError):
                camera.failure = result
                log.error("camera_failed", camera=camera.name, error=str(result))

    async def _drive(self) -> None:
        """Let the cameras run with the tasks that look after them."""
        for camera in self._cameras.values():
            self._begin(camera)
        async with asyncio.TaskGroup() as tasks:
            side = [
                tasks.create_task(self._watch.run(lambda: self._settings.stats_interval), name="watch"),
                tasks.create_task(self._stop_when_asked(), name="stop"),
                tasks.create_task(self._reload_when_asked(), name="reload"),
            ]
            while running := [run for run in self._runs.values() if not run.done()]:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in side:
                task.cancel()
        failures = [camera.failure for camera in self._cameras.values() if camera.failure is not None]
        # One that is lost does not end the others, but who waits for the end of files must hear of it.
        if failures and (len(failures) == len(self._cameras) or not self._stopping.is_set()):
            self._failed = failures[0]
        for run in self._runs.values():
            if (error := run.exception()) is not None:  # what nobody foresaw
                raise error

    def _begin(self, camera: CameraRun) -> None:
        if camera.failure is None:
            self._runs[camera.name] = asyncio.create_task(self._live(camera), name=f"camera-{camera.name}")

    async def _live(self, camera: CameraRun) -> None:
        """One camera from its first frame to its last part closed."""
        try:
            self._outcomes[camera.name] = await camera.run()
        except EdgedError as error:
            if camera.name:
                log.error("camera_failed", camera=camera.name, error=str(error))
        finally:
            self._watch.look_if_ready()  # a short file is over before anybody has looked
            self._watch.tell()
            self._watch.show(camera)
            if not any(run is not asyncio.current_task() and not run.done() for run in self._runs.values()):
                self._notifier.stopping()
                self._budget.close_within(self._settings.stop_timeout)
            failed = await self.close(camera.closers())
            self._failed = self._failed or failed

    async def _stop_when_asked(self) -> None:
        await self._stopping.wait()
        self._notifier.stopping()
        timeout_s = self._settings.stop_timeout
        self._budget.close_within(2 * timeout_s)  # once to drain, once to close
        for camera in self._cameras.values():
            camera.stop()
        await asyncio.sleep(timeout_s)
        log.warning("stop_forced", after_s=timeout_s)
        for camera in self._cameras.values():
            camera.abort()

    # Reload.

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            if was_ready := self._watch.ready:  # else the start is still going on
                self._notifier.reloading()
            refused = ""
            try:
                await self._reload()
            except _Stopped:
                return
            except EdgedError as error:
                refused = f"reload refused: {error}"
                log.error("reload_refused", error=str(error))
            except Exception as error:  # what nobody foresaw must not end what works
                refused = f"reload failed: {type(error).__name__}: {error}"
                log.exception("reload_failed")
            else:
                log.info("reloaded", config_hash=self._settings.fingerprint)
            for camera in self._cameras.values():
                (camera.switches.take_back if refused else camera.switches.keep)()
                camera.refused = refused
                camera.tell()
            self._watch.tell()  # who has read the state may look at the status next
            if was_ready:
                self._notifier.ready()

    async def _reload(self) -> None:
        """Put new settings in force at a frame boundary, or leave everything as it is."""
        following, reading, self._reading = self._written, self._reading, False
        if reading:
            if self._reread is None:
                raise ConfigError(
                    "there is no env file to read again", hint="Start edged with --env-file FILE"
                )
            following = _each(await self.run_unless_stopped("read-settings", self._reread))
        wanted = {one.camera if one.several else "": one for one in following}
        kept, fresh = await prepare(wanted, self._cameras, self)
        self.lender.cameras = frozenset(one.camera for one in following)
        for name in self._cameras.keys() - kept.keys() - fresh.keys():
            self._cameras[name].stop()  # its run closes what is its own
            self._cameras.pop(name)
        for name, parts in kept.items():
            await self._cameras[name].exchange(parts)
        for name, camera in fresh.items():
            self._cameras[name] = camera
            self._begin(camera)
        self._settings, self._written = following[0], following
        logs.follow(self._settings)

    def _ask_to_reload(self) -> None:
        self._reading = True
        self._reload_asked.set()

    def _ask_to_stop(self, number: signal.Signals) -> None:
        """Stop; who asks a second time does not want to wait for anything."""
        if self._stopping.is_set():
            log.warning("stop_at_once", signal=number.name)
            self._budget.hurry()
            for camera in self._cameras.values():
                camera.abort()
        self._stopping.set()


__all__ = ["Outcome", "serve"]
