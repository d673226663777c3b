"""The running daemon: signals, reload, watchdog and one stop budget, around its cameras."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import structlog

from edged import bridge
from edged.backoff import Backoff
from edged.daemon import logs
from edged.daemon.cameras import Cameras
from edged.daemon.notify import Notifier
from edged.daemon.outcome import Outcome
from edged.daemon.reload import prepare
from edged.daemon.retries import Retries
from edged.daemon.stop_budget import StopBudget, Stopped
from edged.daemon.watch import Watch
from edged.durable.owner import Owner
from edged.durable.spool_folder import spool_folder
from edged.engines.pool import EnginePools
from edged.errors import ConfigError, EdgedError
from edged.settings import idle, systemd
from edged.settings.declared import Settings
from edged.sinks.lending import Lender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edged.daemon.camera import CameraRun
    from edged.daemon.watch import Progress

T = TypeVar("T")

_PATIENCE_S = 30.0
"""How much longer systemd is asked to wait while something slow is opened, again and again."""

_LOOK_S, _MOST_S = 2.0, 60.0
"""How often it is looked whether another daemon of this node has gone; the second is for what is refused."""

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
        EdgedError: a part could not be opened, or failed for good; with several cameras, one of each.
    """
    service = _Service(_each(settings), reread, progress)
    try:
        return await service.run()
    finally:
        service.lender.owner.leave()


def _each(settings: Settings | Sequence[Settings]) -> Sequence[Settings]:
    return (settings,) if isinstance(settings, Settings) else settings


def _no_env_file() -> ConfigError:
    return ConfigError("there is no env file to read again", hint="Start edged with --env-file FILE")


def _warn(cameras: Sequence[Settings]) -> None:
    """Tell what is set and has no effect; what is so for all cameras once."""
    for camera, note in idle.by_camera(cameras):
        log.warning("setting_without_effect", **({"camera": camera} if camera else {}), note=note)


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
        self.lender = Lender(Owner(one.source for one in settings))
        self.lender.cameras = frozenset(one.camera for one in settings)
        self._own(settings)
        if (folder := spool_folder(settings[0])) is not None:
            folder.tidy(settings[0].node, self.lender.owner, self.lender.cameras)
        self._settings = settings[0]
        """For what holds for the whole node."""
        self._written = settings
        """Every camera's, as they were last read."""
        self._reading = False
        """Whether a reload reads them again."""
        self._reread = reread
        self._notifier = Notifier(systemd.service_manager())
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._budget = StopBudget(settings[0].stop_timeout)
        self.close = self._budget.close
        self._wake = asyncio.Event()
        self._reload_asked = False
        self._cameras = Cameras(settings, self, Retries(self._wake.set), self._ended)
        self._watch = Watch(self._cameras.by_name, self._notifier, progress)

    async def run(self) -> Outcome:
        """From the first part opened to the last one closed."""
        actions: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGTERM: lambda: self._ask_to_stop(signal.SIGTERM),
            signal.SIGINT: lambda: self._ask_to_stop(signal.SIGINT),
            signal.SIGHUP: self._ask_to_reload,
        }
        with _signals(self._loop, actions):
            _warn(self._written)
            try:
                await self._cameras.open()
            except Stopped:
                return Outcome(next(iter(self._cameras.by_name.values())).ledger.counts(), {}, 0.0)
            except EdgedError as error:
                await self._leave_word(error)
                raise
            self._loop.call_soon(self._watch.tell)
            await self._drive()
            self._notifier.stopping()
            return self._cameras.outcome(stopped=self._stopping.is_set())

    # What cameras need of the daemon.

    def reload(self) -> str:
        """Read the settings again; how it went is told in the log and in the state."""
        if self._reread is None:
            raise _no_env_file()
        self._loop.call_soon_threadsafe(self._ask_to_reload)
        return "reloading"

    def adjust(self) -> None:
        """Put in force what was switched, without reading the settings again."""
        self._loop.call_soon_threadsafe(self._ask_to_renew)

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
            raise Stopped
        return work.result()

    def _own(self, settings: Sequence[Settings]) -> None:
        """Own what these cameras keep in EDGED_SPOOL, as far as no other daemon that runs does."""
        folder = spool_folder(settings[0])
        self.lender.owner.enter(folder.path if folder is not None else None, settings)

    async def _leave_word(self, failure: EdgedError) -> None:
        """Have the broker remember why nothing has begun."""
        from edged.mqtt.one_shot import last_word  # noqa: PLC0415  # paho is slow to import, and seldom needed here

        try:
            await self.run_unless_stopped("last-word", partial(last_word.leave, self._written, failure))
        except Stopped:
            pass
        except Exception:  # a mistake of ours must not hide the reason itself
            log.exception("mqtt_last_word_lost")

    async def _drive(self) -> None:
        """Let the cameras run with the tasks that look after them."""
        async with asyncio.TaskGroup() as tasks:
            side = [
                tasks.create_task(self._watch.run(lambda: self._settings.stats_interval), name="watch"),
                tasks.create_task(self._stop_when_asked(), name="stop"),
                tasks.create_task(self._renew_when_asked(), name="renew"),
            ]
            await self._cameras.run()
            for task in side:
                task.cancel()

    def _ended(self, camera: CameraRun, last: bool) -> None:  # noqa: FBT001  # a callback
        """A run has come to its end; its parts are closed next."""
        self._watch.look_if_ready()  # a short file is over before anybody has looked
        self._watch.tell()
        self._watch.show(camera)
        if last:
            self._notifier.stopping()
            self._budget.close_within(self._settings.stop_timeout)

    async def _stop_when_asked(self) -> None:
        await self._stopping.wait()
        self._notifier.stopping()
        timeout_s = self._settings.stop_timeout
        self._budget.close_within(2 * timeout_s)  # once to drain, once to close
        self._cameras.stop()
        await asyncio.sleep(timeout_s)
        log.warning("stop_forced", after_s=timeout_s)
        for camera in self._cameras.by_name.values():
            camera.abort()

    # Reload.

    async def _renew_when_asked(self) -> None:
        """Reload, take the node over and try failed cameras again, one thing after the other.

        Nobody tells when another daemon of the node has gone: that is looked for, while it is waited for.
        """
        owner, looks = self.lender.owner, Backoff(_LOOK_S, _MOST_S, spread=0.0)
        try:
            while True:
                refused = self._cameras.differ(owner)
                look_s = looks.after(0.0 if refused else _MOST_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(look_s if refused or owner.waits else None):
                        await self._wake.wait()
                self._wake.clear()
                if owner.waits:
                    await bridge.run("take-over", owner.take_over)
                if self._reload_asked or self._cameras.differ(owner):
                    self._reload_asked = False
                    await self._reload_and_tell()
                await self._cameras.revive()
        except Stopped:
            return

    async def _reload_and_tell(self) -> None:
        if was_ready := self._watch.ready:  # else the start is still going on
            self._notifier.reloading()
        refused = ""
        try:
            await self._reload()
        except EdgedError as error:
            refused = f"reload refused: {error}"
            log.error("reload_refused", error=str(error))
        except Stopped:
            raise
        except Exception as error:  # what nobody foresaw must not end what works
            refused = f"reload failed: {type(error).__name__}: {error}"
            log.exception("reload_failed")
        else:
            log.info("reloaded", config_hash=self._settings.fingerprint)
        for camera in self._cameras.by_name.values():
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
                raise _no_env_file()
            following = _each(await self.run_unless_stopped("read-settings", self._reread))
        wanted = {one.camera if one.several else "": one for one in following}
        await bridge.run("own", partial(self._own, following))
        try:
            prepared = await prepare(wanted, self._cameras.by_name, self)
        except BaseException:
            await bridge.run("own", partial(self._own, self._written))
            raise
        self.lender.cameras = frozenset(one.camera for one in following)
        await self._cameras.renew(prepared, wanted)
        self._settings, self._written = following[0], following
        logs.follow(self._settings)
        if reading:  # somebody has mended something, perhaps
            _warn(following)
            self._cameras.hurry()

    def _ask_to_reload(self) -> None:
        self._reading = True
        self._ask_to_renew()

    def _ask_to_renew(self) -> None:
        self._reload_asked = True
        self._wake.set()

    def _ask_to_stop(self, number: signal.Signals) -> None:
        """Stop; who asks a second time does not want to wait for anything."""
        if self._stopping.is_set():
            log.warning("stop_at_once", signal=number.name)
            self._budget.hurry()
            for camera in self._cameras.by_name.values():
                camera.abort()
        self._stopping.set()
