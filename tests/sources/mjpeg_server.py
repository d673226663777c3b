"""A network camera on 127.0.0.1: multipart JPEG over HTTP, with the faults such cameras have.

Run as a program so that a test can freeze and kill it. It prints its port and serves until it is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

_BOUNDARY = b"edgedtest"


def picture(number: int, size: tuple[int, int]) -> bytes:
    """A JPEG with a bar that moves on with ``number``."""
    width, height = size
    image = np.full((height, width, 3), 40, np.uint8)
    left = 8 * number % (width - 16)
    image[:, left : left + 16] = (60, 200, 250)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def part(jpeg: bytes) -> bytes:
    """One part of the multipart stream."""
    head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (_BOUNDARY, len(jpeg))
    return head + jpeg + b"\r\n"


class Camera(BaseHTTPRequestHandler):
    """Serves the stream to anybody who asks, or who knows the password."""

    options: argparse.Namespace

    def do_GET(self) -> None:
        options = self.options
        if options.password and self.headers.get("Authorization") is None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        if options.silent:
            time.sleep(3600)
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY.decode()}")
        self.end_headers()
        with contextlib.suppress(OSError):  # the client has hung up
            self._serve()
        self.close_connection = True

    def _serve(self) -> None:
        options = self.options
        begun = time.monotonic()
        for number in itertools.count():
            if options.frames and number >= options.frames:
                return
            if options.garbage and number == options.garbage:
                self.wfile.write(np.random.default_rng(1).bytes(200_000))
                return
            jpeg = picture(number, options.sizes[number // options.change % len(options.sizes)])
            if options.corrupt and number % options.corrupt == options.corrupt - 1:
                # What a camera sends whose memory overflows: the head of the picture, then nonsense.
                jpeg = jpeg[: len(jpeg) // 2] + bytes(len(jpeg) // 4)
            self.wfile.write(part(jpeg))
            time.sleep(max(0.0, begun + (number + 1) / options.fps - time.monotonic()))

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Hangs up without lingering, as a camera that loses power."""

    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes is no error."""


def _size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fps", type=float, default=25)
    parser.add_argument(
        "--sizes", type=lambda text: [_size(size) for size in text.split(",")], default="320x240"
    )
    parser.add_argument("--change", type=int, default=20, help="frames after which the next size is taken")
    parser.add_argument("--frames", type=int, default=0, help="hang up after so many")
    parser.add_argument("--garbage", type=int, default=0, help="send noise after so many frames and hang up")
    parser.add_argument("--corrupt", type=int, default=0, help="damage every n-th picture")
    parser.add_argument("--silent", action="store_true", help="take connections and say nothing")
    parser.add_argument("--password", action="store_true", help="want user and password")
    Camera.options = parser.parse_args()
    server = Server(("127.0.0.1", Camera.options.port), Camera)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
