"""The live view: for setting up a camera, for Prometheus, and for whoever watches over the daemon."""

from __future__ import annotations

import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.contract import event_messages
from edged.errors import ConfigError
from edged.http.access import read_token
from edged.http.past import Past
from edged.http.setup import setup as where
from edged.http.site import Site
from edged.imaging.jpeg import encoded
from edged.settings.listener import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edged.contract.event_messages import Telling
    from edged.http.views import Kept, View
    from edged.records import Event, Report, Result, State
    from edged.settings.declared import Settings
    from edged.sinks import Context
    from edged.video.archive import Archive
    from edged.video.relay import Relay

_PACKAGES = ("tornado", "prometheus_client")
"""An extra that only the live view needs; imported with its first visitor."""
_MOST_FPS = 15.0
"""Pictures a second: enough to aim a camera, and JPEG is not free."""
_MOST_WIDTH = 1280
_QUALITY = 80
_told = partial(event_messages.told, camera="camera", boot_id="")


class HttpSink:
    """Shows a camera on the daemon's site. While nobody looks, no picture is drawn or encoded.

    Args:
        site: borrowed; given back by :meth:`close`.
        camera: its name below the site; empty for the only one.
        title: what its page is called.
        setup: what its settings say of where to look.
        archive: what is recorded of it.
        has_video: whether it may have video of its own to show.
        past: what earlier runs have told of its events.
        told: says as what one of its events is told.
        give_back: lets the site go; None: it is this camera's own.
    """

    name = "http"
    problem = ""
    waiting = False

    def __init__(
        self,
        site: Site,
        *,
        camera: str = "",
        title: str = "edged",
        setup: Mapping[str, Any] | None = None,
        archive: Archive | None = None,
        has_video: bool = False,
        past: Past | None = None,
        told: Callable[[Event], Telling] = _told,
        give_back: Callable[[], None] | None = None,
    ) -> None:
        self._site = site
        self._camera = camera
        self._give_back = give_back or site.close
        self._title = title
        self._setup = setup or {}
        self._archive = archive
        self._has_video = has_video
        self._past = past
        self._told = told
        self._view: View | None = None
        self._due = 0.0

    @classmethod
    def create(cls, settings: Settings, context: Context) -> HttpSink:
        """As ``EDGED_HTTP`` says.

        Raises:
            ConfigError: the token cannot be read, is too short, or there is none and others can reach us, or
                a package that this needs is not installed.
        """
        site = context.lender.borrow("http", settings, _site)
        archive = _archive(settings)
        return cls(
            site,
            camera=settings.camera if settings.several else "",
            title=f"{settings.camera} on {settings.node}",
            setup=where(settings),
            archive=archive,
            # Turned pictures are shown as they are looked at.
            has_video=not settings.rotate and context.gives_packets(settings),
            past=_past(settings, context.boot_id, archive),
            told=partial(event_messages.told, camera=settings.camera, boot_id=context.boot_id),
            give_back=partial(context.lender.give_back, site),
        )

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page, once it is open."""
        return self._site.url

    @property
    def listener(self) -> Relay | None:
        """Shows the camera's packets, if there are any."""
        return self._kept.relay if self._has_video else None

    def open(self) -> None:
        """Show the camera; the first one listens.

        Raises:
            SinkError: the port is in use, or not ours to take.
        """
        try:
            self._view = self._site.join(
                self._camera,
                self._title,
                self._setup,
                self._archive,
                has_video=self._has_video,
                past=self._past,
            )
        except BaseException:
            self._give_back()
            raise

    def send(self, result: Result) -> None:
        """Count the result, and draw it for whoever waits for a picture."""
        kept = self._kept
        kept.figures.take(result)
        if not kept.newest.wanted:
            return
        now = time.monotonic()
        if now < self._due:
            return
        # From when it was due, not from now: else 30 frames a second become ten and not fifteen.
        self._due = max(self._due + 1 / _MOST_FPS, now)
        self._site.call(partial(kept.newest.put, encoded(result.picture(), _QUALITY, _MOST_WIDTH)))

    def tell(self, events: Sequence[Event]) -> None:
        """Remember the newest events."""
        self._kept.events.take(events, self._told)

    def report(self, report: Report) -> None:
        """Take the figures of the last interval."""
        self._kept.figures.report(report)
        self._kept.history.take(report)
        self._kept.exported.report(report)

    def state(self, state: State) -> None:
        """Take what the daemon is doing."""
        self._kept.figures.state(state)
        self._kept.exported.state(state)
        self._site.call(partial(self._kept.relay.pause, state.lifecycle == "paused"))

    def close(self) -> None:
        """Show it no more; the last one hangs up."""
        if self._view is not None:
            self._site.leave(self._camera, self._view)
        self._give_back()

    @property
    def _kept(self) -> Kept:
        assert self._view is not None  # noqa: S101  # open() comes first
        return self._view.kept


def _site(settings: Settings) -> Site:
    missing = next((name for name in _PACKAGES if find_spec(name) is None), None)
    if missing is not None:
        raise ConfigError(
            f"EDGED_HTTP needs the package {missing}, which is not installed",
            hint="Run: pip install 'edged[http]'",
        )
    assert settings.http is not None  # noqa: S101  # the registry asks for this sink only if it is set
    token = None
    if settings.http_token_file is not None:
        token = read_token(settings.http_token_file)
    return Site(
        parse(settings.http),
        token=token,
        title="edged",
        several=settings.several,
        stop_timeout_s=settings.stop_timeout,
    )


def _archive(settings: Settings) -> Archive | None:
    """The folder into which the camera is recorded, if it is one: a file is replaced by the next run."""
    if settings.output is None:
        return None
    from edged.video.archive import Archive  # noqa: PLC0415  # FFmpeg, only where there is video

    folder = settings.output
    try:
        is_folder = folder.is_dir()
    except OSError:  # a disk that does not answer now
        is_folder = False
    return Archive(folder) if is_folder or not folder.suffix else None


def _past(settings: Settings, boot_id: str, archive: Archive | None) -> Past | None:
    if settings.events_jsonl is None or settings.events_jsonl == "-":
        return None
    return Past(Path(settings.events_jsonl).expanduser(), settings.camera, boot_id, archive)
