"""What has been: the newest events, their pictures, and the video that shows them."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tornado.web import HTTPError

from edged import bridge
from edged.http.answers import JsonPage, Seated, Seats
from edged.http.events import now_us

if TYPE_CHECKING:
    from edged.http.answers import Page
    from edged.http.views import Display
    from edged.video.archive import Archive

_MOST_VIDEOS = 6
"""Sent at a time: each may hold a thread while the disk does not answer."""
_MOST_PICTURES = 24
"""Likewise, of events of earlier runs; a browser asks for six at a time."""
_CHUNK = 1 << 18


def routes(display: Display, below: str) -> list[tuple[str, Any, dict[str, Any]]]:
    """The pages, those of one camera under the pattern ``below``."""
    arguments = {"display": display}
    seats = {**arguments, "seats": Seats(_MOST_VIDEOS)}
    return [
        *(
            (f"/{place}events.json", JsonPage, {**arguments, "tell": newest})
            for place in dict.fromkeys(("", below))
        ),
        (
            rf"/{below}events/(?P<event_id>[0-9a-f]+)\.jpg",
            Best,
            {**arguments, "seats": Seats(_MOST_PICTURES)},
        ),
        (f"/{below}moment.json", Moment, seats),
        (f"/{below}video/(?P<name>[^/]+)", Video, seats),
    ]


def newest(page: Page) -> dict[str, Any]:
    """Events of one camera, or of all: those with news since the ``now`` of an earlier answer.

    With them, and with the first answer, come the day's bars.
    """
    now, after = now_us(), page.number("after", 0.0)
    events: list[dict[str, Any]] = []
    bars: list[list[Any]] = []
    recorded = {}
    for name, view in list(page.display.views.items()):
        if page.camera and name != page.camera:
            continue
        below = f"{quote(name)}/" if page.display.several and not page.camera else ""
        news = view.kept.events.since(after)
        events += [{"camera": name, "below": below, **event} for event in news]
        bars += [[name, *bar] for bar in view.kept.events.bars()]
        recorded[name] = view.archive is not None
    answer = {"now": now, "began": page.display.began_us, "recorded": recorded, "events": events}
    return answer | ({"bars": bars} if events or not after else {})


class _Stored(Seated):
    """A page that reads the disk, which may take its time."""

    @property
    def archive(self) -> Archive:
        """The camera's folder; nothing where nothing is recorded into one."""
        archive = self.view.archive
        if archive is None:
            raise HTTPError(404)
        return archive


class Best(_Stored):
    """The best picture of one event."""

    async def get(self, event_id: str) -> None:
        """As JPEG, from memory or, of an earlier run, from the disk."""
        events = self.view.kept.events
        picture = events.picture(event_id)
        if picture is None and (name := events.stored(event_id)):
            archive = self.archive
            with self.seats, suppress(OSError):
                picture = await bridge.run("read-picture", lambda: archive.picture(name))
        if picture is None:
            raise HTTPError(404)
        self.set_header("Content-Type", "image/jpeg")
        self.finish(picture)


class Moment(_Stored):
    """Where the video shows a moment."""

    async def get(self) -> None:
        """The file and the second, as JSON; no file where none shows it, which is no fault."""
        ts = self.number("at")
        archive = self.archive
        with self.seats:
            found = await bridge.run("find-video", lambda: archive.find(ts))
        if found is None:
            self.send_json({"video": None})
            return
        name, after_s = found
        self.send_json({"video": f"video/{name}", "after_s": round(after_s, 3)})


class Video(_Stored):
    """A file of video, or a part of it, as RFC 9110 (14) has it: players ask for the parts that they need."""

    patience_s = 60.0
    """A player that is paused takes nothing."""

    async def get(self, name: str) -> None:
        """The bytes that are asked for."""
        archive = self.archive
        with self.seats:
            try:
                stream = await bridge.run("open-video", lambda: archive.open(name))
            except OSError:
                raise HTTPError(404) from None
            try:
                await self._send(stream.fileno())
            finally:
                stream.close()

    async def _send(self, fd: int) -> None:
        size = os.fstat(fd).st_size
        start, end = self._range(size)
        self.set_header("Content-Type", "video/mp4")
        self.set_header("Content-Length", str(end - start))
        with self.patience():
            while start < end:
                length, offset = min(_CHUNK, end - start), start
                piece = await bridge.run("read-video", lambda: os.pread(fd, length, offset))  # noqa: B023
                if not piece:  # it was cut meanwhile: what was promised does not come
                    self.detach().close()
                    return
                start += len(piece)
                await self.send(piece)

    def _range(self, size: int) -> tuple[int, int]:
        """First byte and the one behind the last; sets the status. What is malformed asks for everything."""
        self.set_header("Accept-Ranges", "bytes")
        match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", self.request.headers.get("Range", ""), re.ASCII)
        if match is None or not any(match.groups()):
            return 0, size
        first, last = match.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if start >= size or start >= end:
            self.set_status(416)
            self.set_header("Content-Range", f"bytes */{size}")
            return 0, 0
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        return start, end
