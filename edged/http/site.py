"""The pages of a daemon: one listener, with a part for each of its cameras."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from edged import bridge
from edged.http.access import Guard
from edged.http.server import Server
from edged.http.views import Display, Kept, View
from edged.video.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edged.http.past import Past
    from edged.settings.listener import Address
    from edged.video.archive import Archive

log = structlog.get_logger()


class Site:
    """Serves the live view of all cameras from the first one that joins; they come and go side by side.

    Args:
        address: where to listen.
        token: what visitors must know; None where only this machine can reach us.
        title: what the page of several cameras is called.
        several: whether each camera has pages below its name.
        stop_timeout_s: seconds that :meth:`close` may take.
    """

    def __init__(
        self,
        address: Address,
        *,
        token: str | None,
        title: str = "edged",
        several: bool = False,
        stop_timeout_s: float = 10.0,
    ) -> None:
        self.display = Display(title, Guard(token), {}, several)
        self._address = address
        self._stop_timeout_s = stop_timeout_s
        self._server = Server(address)
        self._lock = threading.Lock()
        self._joined: dict[str, list[View]] = {}
        """By camera; while a reload is prepared there is a second one."""
        self._open = False

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page, once it is open."""
        return replace(self._address, port=self._server.port).url

    def join(
        self,
        camera: str,
        title: str,
        setup: Mapping[str, Any],
        archive: Archive | None = None,
        *,
        has_video: bool = False,
        past: Past | None = None,
    ) -> View:
        """Show a camera; the first one opens the site. One that is shown already goes on with new settings.

        Nobody waits for the ``past``, which may lie on a disk that does not answer.

        Raises:
            SinkError: the port is in use, or not ours to take.
        """
        with self._lock:
            if not self._open:
                self._server.bind()
                self._server.start(self.display, self._send_home)
                self._open = True
                log.info("live_view", url=self.url)
            joined = self._joined.setdefault(camera, [])
            kept = joined[-1].kept if joined else Kept(Relay(self.call))
            view = View(title, setup, archive, kept, has_video)
            joined.append(view)
            self.display.views[camera] = view
        if past is not None and len(joined) == 1:
            bridge.start("past-events", partial(past.tell, kept.events))
        if not has_video:  # it may have had some before, of which nothing will come any more
            self._server.call(kept.relay.close)
        return view

    def leave(self, camera: str, view: View) -> None:
        """Show it no more, unless it is shown with other settings."""
        with self._lock:
            joined = self._joined[camera]
            joined[:] = [one for one in joined if one is not view]
            if joined:
                self.display.views[camera] = joined[-1]
                return
            del self._joined[camera], self.display.views[camera]
        self._server.call(view.kept.close)

    def call(self, function: Callable[[], None]) -> None:
        """Run something soon in the event loop of the pages."""
        self._server.call(function)

    def close(self) -> None:
        """Hang up."""
        self._server.close(0.8 * self._stop_timeout_s)

    def _send_home(self) -> None:
        for view in list(self.display.views.values()):
            view.kept.close()
