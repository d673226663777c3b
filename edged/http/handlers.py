"""The pages of the live view."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.web import Application, HTTPError

from edged.contract.words import natural
from edged.http import recordings
from edged.http.answers import JsonPage, Page, Seated, Seats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edged.http.views import Display

_PAGE = Path(__file__).parent / "page"
_PAGES = {
    "": ("Live", "camera.html"),
    "draw": ("Draw", "draw.html"),
    "events": ("Events", "events.html"),
    "runs": ("How it runs", "runs.html"),
}
"""The pages of one camera: name and file by URL."""
_GRID = {"": ("Cameras", "grid.html"), "events": ("Events", "events.html")}
"""Those of all of several cameras."""
_BODY, _LINKS = b"<!-- page -->", b"<!-- links -->"
"""Where a page and the links to the others go in the frame that is around all of them."""
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PICTURE_S = 5.0
"""How long a snapshot waits for a frame."""
_MOST_WATCHING = 32
"""Viewers of cameras' own video, which costs little."""
_KEYFRAME_S = 20.0
"""How long a request waits for the first keyframe, less than a proxy waits for us; then it may come again."""
_NONE_YET, _NONE = 202, 204
_BOUNDARY = b"\r\n--frame\r\n"


def application(display: Display) -> Application:
    """All pages."""
    seats = Seats(display.most_viewers)
    # The only camera has its pages at the top, one of several below its name.
    below = "(?P<camera>[^/]+)/" if display.several else ""
    return Application(
        [
            *_files(display, "", _GRID if display.several else _PAGES),
            *(_files(display, below, _PAGES) if display.several else ()),
            ("/cameras.json", JsonPage, {"display": display, "tell": overview}),
            ("/healthz", JsonPage, {"display": display, "tell": health}),
            ("/metrics", MetricsPage, {"display": display}),
            *recordings.routes(display, below),
            (f"/{below}live.json", JsonPage, {"display": display, "tell": live}),
            (f"/{below}setup.json", JsonPage, {"display": display, "tell": setup}),
            (f"/{below}history.json", JsonPage, {"display": display, "tell": hour}),
            (f"/{below}snapshot.jpg", Snapshot, {"display": display}),
            (f"/{below}now.json", JsonPage, {"display": display, "tell": now}),
            (f"/{below}stream.mp4", OwnStream, {"display": display, "seats": Seats(_MOST_WATCHING)}),
            (f"/{below}stream.mjpg", Stream, {"display": display, "seats": seats}),
        ],
        default_handler_class=Nothing,
        default_handler_args={"display": display},
        log_function=lambda _: None,  # who looks at what is nobody's business
    )


def _files(
    display: Display, below: str, pages: dict[str, tuple[str, str]]
) -> list[tuple[str, Any, dict[str, Any]]]:
    """The parts of the page, and the ``pages`` (name and file by URL) that are made of them."""
    frame = (_PAGE / "frame.html").read_bytes()
    up = '<a href="../">Cameras</a> ' if below else ""
    contents = {
        url: (
            frame.replace(_LINKS, (up + _links(pages, url)).encode()).replace(
                _BODY, (_PAGE / file).read_bytes()
            ),
            _KINDS[".html"],
        )
        for url, (_, file) in pages.items()
    }
    contents |= {
        part.name: (part.read_bytes(), _KINDS[part.suffix])
        for part in sorted(_PAGE.iterdir())
        if part.suffix in _KINDS and part.suffix != ".html"
    }
    return [
        (f"/{below}{re.escape(url)}", File, {"display": display, "content": content, "kind": kind})
        for url, (content, kind) in contents.items()
    ]


def _links(pages: dict[str, tuple[str, str]], here: str) -> str:
    return " ".join(
        f'<a href="{url or "./"}"{" aria-current=page" if url == here else ""}>{name}</a>'
        for url, (name, _) in pages.items()
    )


class Nothing(Page):
    """Every path that is no page."""

    async def prepare(self) -> None:
        """Turn everybody away, who may look and who may not."""
        await super().prepare()
        raise HTTPError(404)


class File(Page):
    """A part of the page."""

    def initialize(self, display: Display, content: bytes = b"", kind: str = "") -> None:
        """Take what is shown."""
        super().initialize(display)
        self._content = content
        self._kind = kind

    def get(self) -> None:
        """The file."""
        self.set_header("Content-Type", self._kind)
        self.finish(self._content)

    head = get


def live(page: Page) -> dict[str, Any]:
    """The figures."""
    view = page.view
    return {"title": view.title, "has_video": view.has_video, **view.kept.figures.live()}


def now(page: Page) -> dict[str, Any]:
    """What to draw over the camera's own video, and at which second of it."""
    kept = page.view.kept
    return {"objects": kept.figures.drawn(kept.relay.second)}


def setup(page: Page) -> dict[str, Any]:
    """Where is looked, as the settings have it: what can be drawn."""
    return {"title": page.view.title, **page.view.setup}


def hour(page: Page) -> dict[str, Any]:
    """How the camera fared in the last hour."""
    return page.view.kept.history.hour()


def overview(page: Page) -> dict[str, Any]:
    """All cameras in short: name, health, rate and what is there, of each."""
    # Not as they came: each card has its place.
    views = sorted(page.display.views.items(), key=lambda named: natural(named[0]))
    cameras = [{"name": name, **view.kept.figures.short()} for name, view in views]
    return {"title": page.display.title, "cameras": cameras}


def health(page: Page) -> dict[str, Any]:
    """For who watches over the daemon: 200 while detection goes on, 503 when it does not."""
    found = _health(page.display)
    if found["status"] == "failed":
        page.set_status(503)
    return found


def _health(display: Display) -> dict[str, Any]:
    """The health of the only camera, or of all: failed if all have, degraded if any is not well."""
    each = {name: view.kept.figures.health() for name, view in list(display.views.items())}
    if not display.several and each:
        return next(iter(each.values()))
    states = {health["status"] for health in each.values()}
    failed = not states or states == {"failed"}
    return {
        "status": "failed" if failed else "ok" if states == {"ok"} else "degraded",
        "problems": _problems({name: health["problems"] for name, health in each.items()}),
        "cameras": each,
    }


def _problems(by_camera: Mapping[str, Sequence[str]]) -> list[str]:
    """Each with its camera; what all of several cameras have, as a refused reload, once."""
    every = [*by_camera.values()]
    shared = [one for one in every[0] if all(one in told for told in every)] if len(every) > 1 else []
    own = [f"{name}: {one}" for name, told in by_camera.items() for one in told if one not in shared]
    return shared + own


class MetricsPage(Page):
    """For Prometheus."""

    def get(self) -> None:
        """The metrics now."""
        from edged.http.prometheus import page  # noqa: PLC0415  # a megabyte that only who asks for it needs

        metrics = {name: view.kept.exported.told() for name, view in list(self.display.views.items())}
        body, content_type = page(metrics, self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.finish(body)


class Snapshot(Page):
    """One annotated picture."""

    async def get(self) -> None:
        """The next picture."""
        try:
            coming = self.unless_gone(self.view.kept.newest.next(), None)
            picture = await asyncio.wait_for(coming, _PICTURE_S)
        except TimeoutError:
            picture = None
        if picture is None:
            raise HTTPError(503)
        self.set_header("Content-Type", "image/jpeg")
        self.finish(picture)


class Stream(Seated):
    """The annotated pictures as multipart JPEG, at the pace of the visitor."""

    async def get(self) -> None:
        """Pictures until the visitor or the daemon leaves."""
        with self.seats, self.patience():
            self.set_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.write(_BOUNDARY)
            while (picture := await self.unless_gone(self.view.kept.newest.next(), None)) is not None:
                # The boundary right behind the picture: browsers show a part when they see its end.
                header = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture)
                await self.send(header, picture + _BOUNDARY)


class OwnStream(Seated):
    """The camera's own video as fragmented MP4, from a keyframe on."""

    async def get(self) -> None:
        """Video until the camera's connection ends, or somebody leaves; 204: there is none, 202: none yet."""
        view = self.view
        if not view.has_video:
            self.set_status(_NONE)
            return
        with self.seats, view.kept.relay.watched() as receiver:
            try:
                piece = await asyncio.wait_for(self.unless_gone(receiver.next(), None), _KEYFRAME_S)
            except TimeoutError:  # some cameras have one a minute
                self.set_status(_NONE_YET)
                return
            if piece is None:
                self.set_status(_NONE)
                return
            self.set_header("Content-Type", receiver.kind)
            with self.patience():
                while piece is not None:
                    await self.send(piece)
                    piece = await self.unless_gone(receiver.next(), None)
