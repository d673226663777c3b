"""What real cameras answer over HTTP: streams with faults, pictures by request, logins."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING

import cv2
import pytest
from daemon import until
from source_clips import nothing_left_to_the_collector, number_of, numbered
from web_server import answering, head, jpeg, part, rising, source_of

from edged.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.server import BaseHTTPRequestHandler

    Reply = Callable[[BaseHTTPRequestHandler, int], None]
    """Answers one request, the n-th."""


def esp32(number: int) -> bytes:
    """Old ESP32-CAM, Tasmota: the boundary follows the picture, and none comes first."""
    return part(number, before=b"", after=b"\r\n--frame\r\n")


STREAMS: dict[str, Callable[[int], bytes]] = {
    "as it should be": part,
    "no first boundary": esp32,
    "no length": lambda number: part(number, length=-1),
    "length too small": lambda number: part(number, length=100),
    "length too large": lambda number: part(number, length=10**6),
    "length 0": lambda number: part(number, length=0),
    "boundary without dashes": lambda number: part(number, before=b"frame\r\n"),
    "bare line feeds": lambda number: part(number).replace(b"\r\n", b"\n", 3),
    "no head at all": jpeg,
    "no line between": lambda number: part(number, after=b""),
}


@pytest.mark.parametrize("how", STREAMS)
def test_motion_jpeg_comes_whatever_its_frame_says(how: str) -> None:
    """The pictures themselves say where they begin and end."""

    def reply(handler: BaseHTTPRequestHandler, _: int) -> None:
        head(handler, "multipart/x-mixed-replace; boundary=frame")
        for number in range(250):
            handler.wfile.write(STREAMS[how](number))
            time.sleep(0.02)

    with answering(reply) as (url, asked), source_of(url) as source:
        frames = source.frames()
        numbers = [number_of(next(frames).image) for _ in range(20)]
        assert rising(numbers)
        assert len(asked) == 1
        assert source.skipped["corrupt"] == 0
        assert source.live
        assert source.properties()["width"] == 160


def snapshots(kind: str, encode: Callable[[int], bytes] = jpeg, length: int | None = None) -> Reply:
    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        picture = encode(number)
        head(handler, kind, length=len(picture) if length is None else length)
        handler.wfile.write(picture)

    return reply


def png(number: int) -> bytes:
    return cv2.imencode(".png", numbered(number))[1].tobytes()


@pytest.mark.parametrize(
    ("kind", "encode"),
    [
        ("image/jpeg", jpeg),
        ("image/jpg;x=y", jpeg),
        ("", jpeg),
        ("application/octet-stream", jpeg),
        ("image/png", png),
    ],
)
def test_a_picture_by_request_is_asked_for_again(kind: str, encode: Callable[[int], bytes]) -> None:
    """At the rate of EDGED_FPS, and for ever."""
    begun = time.monotonic()
    with answering(snapshots(kind, encode)) as (url, asked), source_of(f"{url}/snap", fps=10) as source:
        frames = source.frames()
        assert rising([number_of(next(frames).image) for _ in range(8)])
        assert asked[7] - begun >= 0.7
        assert source.live
        assert source.reconnects == 0
        assert source.properties()["fps"] == 10


def test_a_picture_by_request_whose_connection_python_closes_with_its_last_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Python 3.12 and later do; those before wait until somebody reads on."""
    read1 = HTTPResponse.read1

    def closing(self: HTTPResponse, size: int = -1) -> bytes:
        data = read1(self, size)
        if self.length == 0 and not self.isclosed():
            self._close_conn()  # type: ignore[attr-defined]  # the library's own
        return data

    monkeypatch.setattr(HTTPResponse, "read1", closing)
    with answering(snapshots("image/jpeg")) as (url, _), source_of(url, fps=10) as source:
        frames = source.frames()
        assert rising([number_of(next(frames).image) for _ in range(4)])
        assert source.reconnects == 0


def test_a_picture_by_request_is_asked_for_once_a_second() -> None:
    begun = time.monotonic()
    with answering(snapshots("image/jpeg")) as (url, asked), source_of(url) as source:
        frames = source.frames()
        assert [number_of(next(frames).image) for _ in range(3)] == [0, 1, 2]
        assert asked[2] - begun >= 2.0


def test_a_seldom_picture_is_no_lost_camera() -> None:
    """EDGED_FPS may ask for longer pauses than EDGED_READ_TIMEOUT allows a stream."""
    with answering(snapshots("image/jpeg")) as (url, _), source_of(url, fps=0.6, read_timeout=0.8) as source:
        frames = source.frames()
        assert [number_of(next(frames).image) for _ in range(3)] == [0, 1, 2]
        assert source.reconnects == 0


def test_a_picture_that_fails_once_comes_again() -> None:
    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number == 1:
            handler.send_error(503)
        else:
            snapshots("image/jpeg")(handler, number)

    with answering(reply) as (url, _), source_of(url, fps=20) as source:
        frames = source.frames()
        numbers = [number_of(next(frames).image) for _ in range(3)]
        assert rising(numbers)
        assert 1 not in numbers
        assert source.reconnects == 1


def test_a_damaged_picture_is_counted_and_the_next_comes() -> None:
    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        data = jpeg(number)
        data = data[: len(data) // 2] + bytes(60) + b"\xff\xd9" if number % 2 else data
        head(handler, "image/jpeg", length=len(data))
        handler.wfile.write(data)

    with answering(reply) as (url, _), source_of(url, fps=20) as source:
        frames = source.frames()
        numbers = [number_of(next(frames).image) for _ in range(3)]
        assert rising(numbers)
        assert not any(number % 2 for number in numbers)
        assert source.skipped["corrupt"] >= 2


def test_stop_does_not_wait_for_the_next_request() -> None:
    with answering(snapshots("image/jpeg")) as (url, _), source_of(url, fps=0.05) as source:
        frames = source.frames()
        next(frames)
        threads = threading.active_count()
        begun = time.monotonic()
        source.stop()
        assert list(frames) == []
        source.close()
        assert time.monotonic() - begun < 10
        until(lambda: threading.active_count() < threads)


def challenge(handler: BaseHTTPRequestHandler, how: str) -> bool:
    """Ask for the login ``ann``, ``p@ss:w/d``; whether it is right."""
    said = handler.headers.get("Authorization", "")
    if how == "basic":
        if said == "Basic YW5uOnBAc3M6dy9k":
            return True
        asks = 'Basic realm="camera"'
    else:
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', said))

        def md5(text: str) -> str:
            return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

        if fields:
            secret, place = md5("ann:camera:p@ss:w/d"), md5(f"GET:{handler.path}")
            middle = f"{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth"
            return bool(fields["response"] == md5(f"{secret}:{middle}:{place}"))
        asks = 'Digest realm="camera", nonce="abc", qop="auth"'
    handler.send_response(401)
    handler.send_header("WWW-Authenticate", asks)
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return False


@pytest.mark.parametrize("how", ["basic", "digest"])
def test_the_login_that_a_camera_wants_is_given(how: str) -> None:
    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        if challenge(handler, how):
            snapshots("image/jpeg")(handler, number)

    with answering(reply) as (url, _):
        with source_of(url.replace("//", "//ann:p%40ss%3Aw%2Fd@") + "/snap?x=1", fps=10) as source:
            assert next(source.frames()).width == 160
        with pytest.raises(SourceError, match="401") as caught, source_of(f"{url}/snap?pw=hunter2"):
            pass
        assert "hunter2" not in str(caught.value)


def test_a_redirection_is_followed() -> None:
    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        if handler.path == "/old":
            handler.send_response(302)
            handler.send_header("Location", "/new")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        else:
            snapshots("image/jpeg")(handler, number)

    with answering(reply) as (url, _), source_of(f"{url}/old") as source:
        assert number_of(next(source.frames()).image) == 1


def test_a_web_page_is_told() -> None:
    def reply(handler: BaseHTTPRequestHandler, _: int) -> None:
        head(handler, "text/html; charset=utf-8")
        handler.wfile.write(b"\n\n  <!doctype html><title>Camera</title>")

    with answering(reply) as (url, _), pytest.raises(SourceError, match="is a web page"), source_of(url):
        pass


def test_nothing_is_left_in_circles() -> None:
    with answering(snapshots("image/jpeg")) as (url, _), nothing_left_to_the_collector():
        with source_of(url, fps=20) as source:
            frames = source.frames()
            for _ in range(5):
                next(frames)
        del frames, source
        time.sleep(0.2)
