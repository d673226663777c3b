"""Who looks at the pictures: drawn for those only, at their pace, and nobody holds up another."""

from __future__ import annotations

import http.client
import itertools
import socket
import time
from contextlib import suppress

import cv2
import numpy as np
import pytest
from daemon import until
from made import START, result
from viewing import RUNNING, Camera, Viewer, get, port

from edged.http.site import Site
from edged.settings.listener import parse
from edged.sinks.http import HttpSink


def test_a_snapshot_is_a_picture_of_now(sink: HttpSink) -> None:
    with Camera(sink, size=(320, 240)):
        status, headers, body = get(sink, "/snapshot.jpg")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    image = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (240, 320, 3)


def test_the_stream_moves(sink: HttpSink) -> None:
    with Camera(sink), Viewer(sink) as viewer:
        assert viewer.answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
        pictures = [viewer.picture() for _ in range(5)]
    assert all(picture.shape == (120, 160, 3) for picture in pictures)
    assert all((before != after).any() for before, after in itertools.pairwise(pictures))


def test_opencv_reads_the_stream(sink: HttpSink) -> None:
    with Camera(sink):
        capture = cv2.VideoCapture(f"{sink.url}stream.mjpg")
        try:
            shapes = [capture.read()[1].shape for _ in range(3)]
        finally:
            capture.release()
    assert shapes == [(120, 160, 3)] * 3


def test_while_nobody_looks_nothing_is_drawn(sink: HttpSink) -> None:
    sink.state(RUNNING)
    with Camera(sink, fps=200) as camera:
        until(lambda: camera.sent > 50)
        for path in ("/", "/live.json", "/healthz", "/metrics"):
            get(sink, path)
        assert camera.drawn == 0
        with Viewer(sink) as viewer:
            viewer.picture()
        assert camera.drawn > 0
        drawn = sent = 0

        def rests() -> bool:
            """Whether fifty results have come of which nothing was drawn: the viewer was seen to leave."""
            nonlocal drawn, sent
            if drawn != camera.drawn:
                drawn, sent = camera.drawn, camera.sent
            return camera.sent > sent + 50

        until(rests, limit_s=30.0)


def test_pictures_are_drawn_once_for_all_and_not_faster_than_anybody_needs(sink: HttpSink) -> None:
    begun = time.monotonic()
    with Camera(sink, fps=200) as camera, Viewer(sink) as first, Viewer(sink) as second:
        for _ in range(20):
            first.picture()
            second.picture()
        seconds = time.monotonic() - begun
        drawn = camera.drawn
    assert 20 <= drawn <= 15 * seconds + 5
    assert seconds > 1


def test_a_slow_viewer_skips_pictures_and_holds_up_nobody(sink: HttpSink) -> None:
    slow = socket.create_connection(("127.0.0.1", port(sink)))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with Camera(sink, size=(1280, 720), noise=True) as camera, Viewer(sink) as quick:
        seen = sum(quick.picture().nbytes > 0 for _ in range(30))
        assert camera.sent >= 30
    # All that the slow one still gets is what the kernel holds for it and the picture it was waiting for.
    slow.settimeout(1)
    waiting = bytearray()
    with suppress(TimeoutError):
        while data := slow.recv(1 << 20):
            waiting += data
    slow.close()
    assert 0 < waiting.count(b"image/jpeg") < seen / 2


def test_a_viewer_that_leaves_makes_room_for_the_next(sink: HttpSink) -> None:
    with Camera(sink):
        for _ in range(3):
            viewers = [seated(sink) for _ in range(8)]
            for viewer in viewers:
                viewer.picture()
            assert get(sink, "/stream.mjpg")[0] == 503
            for viewer in viewers:
                viewer.close()


def seated(sink: HttpSink) -> Viewer:
    """A viewer who has got a seat, perhaps after the server has noticed that another one has left."""
    found: list[Viewer] = []

    def comes() -> bool:
        found.append(Viewer(sink))
        if found[-1].answer.status == 200:
            return True
        found[-1].close()
        return False

    until(comes)
    return found[-1]


def test_a_viewer_that_leaves_while_there_are_no_pictures_is_noticed(sink: HttpSink) -> None:
    newest = sink._kept.newest  # noqa: SLF001  # nothing that a visitor sees tells how many wait
    for _ in range(3):
        waiting = []
        for _ in range(8):
            connection = socket.create_connection(("127.0.0.1", port(sink)))
            connection.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            waiting.append(connection)
        until(lambda: newest.wanted == 8)
        for connection in waiting:
            connection.close()
        until(lambda: newest.wanted == 0)
    with Camera(sink) as camera, Viewer(sink) as viewer:
        viewer.picture()
        assert camera.drawn > 0


def test_too_many_connections_are_hung_up_on(sink: HttpSink) -> None:
    crowd = [socket.create_connection(("127.0.0.1", port(sink))) for _ in range(64)]
    try:
        time.sleep(0.3)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            get(sink, "/healthz")
    finally:
        for connection in crowd:
            connection.close()

    def answers() -> bool:
        # The server may not have seen all of the crowd leave yet.
        with suppress(http.client.RemoteDisconnected, ConnectionResetError):
            return get(sink, "/live.json")[0] == 200
        return False

    until(answers)


def test_garbage_is_survived(sink: HttpSink) -> None:
    for garbage in (b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 100_000, b"\r\n\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port(sink))) as connection:
            connection.sendall(garbage)
            connection.settimeout(2)
            with suppress(OSError):
                connection.recv(1000)
    assert get(sink, "/live.json")[0] == 200


def test_closing_sends_everybody_home_at_once() -> None:
    sink = HttpSink(Site(parse("127.0.0.1:0"), token=None))
    sink.open()
    idle = socket.create_connection(("127.0.0.1", port(sink)))
    with Camera(sink), Viewer(sink) as viewer:
        viewer.picture()
        begun = time.monotonic()
        sink.close()
        assert time.monotonic() - begun < 10
        with suppress(http.client.IncompleteRead, ConnectionError):
            assert viewer.answer.read() is not None
    idle.close()
    sink.send(result(0, pts=0, ts=START))  # what still comes disturbs nobody
