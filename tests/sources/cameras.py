"""Cameras without a camera: real servers on 127.0.0.1 that can be frozen, killed and started again."""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
_GST_PYTHON = "/usr/bin/python3"


class Server:
    """A camera server as a process of its own, always on the same port.

    Args:
        command: starts it; ``{port}`` stands for the port.
        url: of the stream, with ``{port}``.
        ready: whether it prints a line when it listens.
    """

    def __init__(self, command: Sequence[str], url: str, *, ready: bool) -> None:
        port = self.port = free_port()
        self.url = url.format(port=port)
        self._command = [word.format(port=port) for word in command]
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns when it listens, as far as it tells."""
        self.kill()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if self._ready else None
        )
        if self._process.stdout is not None:
            assert self._process.stdout.readline(), f"{self._command} did not start"
        assert listening(self.port), f"{self._command} does not listen"

    def freeze(self) -> None:
        """Stop it where it is: connections stay open, nothing comes."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, from its start to its end."""
    server.start()
    try:
        yield server
    finally:
        server.kill()


def mjpeg(*options: str) -> Server:
    """Multipart JPEG over HTTP; options as in ``mjpeg_server.py``."""
    command = [sys.executable, str(HERE / "mjpeg_server.py"), "--port", "{port}", *options]
    return Server(command, "http://127.0.0.1:{port}/", ready=True)


def rtsp(*options: str, user: str = "", password: str = "") -> Server:
    """RTSP by GStreamer; options as in ``rtsp_server.py``."""
    if not _gst_works():
        pytest.skip(
            "no GStreamer RTSP server (python3-gst-1.0, gir1.2-gst-rtsp-server-1.0, plugins good and ugly)"
        )
    command = [_GST_PYTHON, str(HERE / "rtsp_server.py"), "--port", "{port}", *options]
    if user:
        command += ["--user", user, "--password", password]
    login = f"{user}:{password}@" if user else ""
    return Server(command, f"rtsp://{login}127.0.0.1:{{port}}/camera", ready=True)


def ffmpeg(kind: str, *, group: int = 25) -> Server:
    """``mpjpeg`` or ``mpegts`` over HTTP by FFmpeg, which serves one client and ends.

    ``group`` is how many pictures there are from one keyframe to the next.
    """
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed (package ffmpeg)")
    codec = {
        "mpjpeg": ["-c:v", "mjpeg"],
        "mpegts": ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", str(group)],
    }[kind]
    pattern = ["-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25"]
    listen = ["-f", kind, "-listen", "1", "http://127.0.0.1:{port}/"]
    return Server(
        ["ffmpeg", "-v", "fatal", *pattern, *codec, *listen], "http://127.0.0.1:{port}/", ready=False
    )


@functools.cache
def _gst_works() -> bool:
    check = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer;"
        "Gst.init(None); assert all(map(Gst.ElementFactory.find, ['x264enc', 'rtph264pay', 'videotestsrc']))"
    )
    if not Path(_GST_PYTHON).exists():
        return False
    return subprocess.run([_GST_PYTHON, "-c", check], capture_output=True, check=False).returncode == 0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int, timeout_s: float = 60.0) -> bool:
    """Wait until somebody listens or serves, without connecting: some servers take one client only."""
    wanted = re.compile(rf":{port:04X} \S+ (0A|01) ")
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if wanted.search(Path("/proc/net/tcp").read_text()):
            return True
        time.sleep(0.02)
    return False


def descriptors() -> int:
    """File descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
