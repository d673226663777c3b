"""The live view: for setting up a camera, for Prometheus, and for whoever watches over the daemon."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import cv2
import structlog

from edged.errors import ConfigError
from edged.http.access import Guard, read_token
from edged.http.live import Figures
from edged.http.newest import Board
from edged.settings.listener import parse

if TYPE_CHECKING:
    from edged.records import Image, Report, Result, State
    from edged.settings.declared import Settings
    from edged.settings.listener import Address
    from edged.sinks import Context

_MOST_FPS = 15.0
"""Pictures a second: enough to aim a camera, and JPEG is not free."""
_MOST_WIDTH = 1280
_QUALITY = 80
_MOST_VIEWERS = 8

log = structlog.get_logger()


class HttpSink:
    """Serves the live view. While nobody looks, no picture is drawn or encoded.

    Args:
        address: where to listen.
        token: what visitors must know; None where only this machine can reach us.
        title: what the page is called.
        stop_timeout: seconds that :meth:`close` may take.

    Raises:
        ConfigError: a package that this needs is not installed.
    """

    name = "http"
    problem = ""
    waiting = False

    def __init__(
        self, address: Address, *, token: str | None, title: str = "edged", stop_timeout: float = 10.0
    ) -> None:
        try:
            from edged.http.handlers import View  # noqa: PLC0415  # an extra that only the live view needs
            from edged.http.prometheus import Metrics  # noqa: PLC0415
            from edged.http.server import Server  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"EDGED_HTTP needs the package {error.name}, which is not installed",
                mend="Run: pip install 'edged[http]'",
            ) from error
        self._address = address
        self._stop_timeout = stop_timeout
        self._board = Board()
        self._figures = Figures()
        self._metrics = Metrics()
        self._view = View(title, Guard(token), self._board, self._figures, self._metrics, _MOST_VIEWERS)
        self._server = Server(address)
        self._due = 0.0

    @classmethod
    def create(cls, settings: Settings, context: Context) -> HttpSink:
        """As ``EDGED_HTTP`` says.

        Raises:
            ConfigError: the token cannot be read, is too short, or there is none and others can reach us.
        """
        del context
        assert settings.http is not None  # noqa: S101  # the registry asks for this sink only if it is set
        address = parse(settings.http)
        token = None
        if settings.http_token_file is not None:
            token = read_token(settings.http_token_file.expanduser())
        return cls(
            address,
            token=token,
            title=f"{settings.camera} on {settings.node}",
            stop_timeout=settings.stop_timeout,
        )

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page, once it is open."""
        return replace(self._address, port=self._server.port).url

    def open(self) -> None:
        """Listen.

        Raises:
            SinkError: the port is in use, or not ours to take.
        """
        from edged.http.handlers import application  # noqa: PLC0415  # as above

        self._server.bind()
        self._server.start(application(self._view), self._board.close)
        log.info("live_view", url=self.url)

    def send(self, result: Result) -> None:
        """Count the result, and draw it for whoever waits for a picture."""
        self._figures.take(result)
        if not self._board.wanted:
            return
        now = time.monotonic()
        if now < self._due:
            return
        # From when it was due, not from now: else 30 frames a second become ten and not fifteen.
        self._due = max(self._due + 1 / _MOST_FPS, now)
        self._server.call(partial(self._board.put, _jpeg(result.picture())))

    def report(self, report: Report) -> None:
        """Take the figures of the last interval."""
        self._figures.report(report)
        self._metrics.report(report)

    def state(self, state: State) -> None:
        """Take what the daemon is doing."""
        self._figures.state(state)
        self._metrics.state(state)

    def close(self) -> None:
        """Hang up."""
        self._server.close(0.8 * self._stop_timeout)


def _jpeg(picture: Image) -> bytes:
    height, width = picture.shape[:2]
    if width > _MOST_WIDTH:
        size = (_MOST_WIDTH, max(1, round(height * _MOST_WIDTH / width)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes()
