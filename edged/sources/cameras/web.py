"""What comes over HTTP, before it is known whether it is pictures or something for FFmpeg."""

from __future__ import annotations

import select
import ssl
import urllib.error
import urllib.request
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, responses
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

JPEG = b"\xff\xd8\xff"
_JPEG_STREAMS = (".mjpg", ".mjpeg")
_PLAYLISTS = (b"#EXTM3U", b"<?xml", b"<MPD")


class Answer:
    """What a server has answered to a GET: the head, and the body as it comes.

    Args:
        response: opened.
        socket: of its connection.
    """

    def __init__(self, response: HTTPResponse, socket: socket.socket) -> None:
        self.kind = response.headers.get_content_type() if "Content-Type" in response.headers else ""
        """The media type, in small letters; empty if the server does not say."""
        self.length = response.length
        """Bytes of the body, or None where only its end will tell."""
        self.seekable = "bytes" in response.headers.get("Accept-Ranges", "")
        """Whether the server can begin in the middle."""
        self._response = response
        self._socket = socket

    @property
    def has_pictures(self) -> bool:
        """Whether it is one picture, or a stream of JPEG pictures."""
        if self.kind.startswith(("multipart/", "image/")):
            return True
        path = urlsplit(self._response.url).path.lower()
        return self.kind[:6] != "video/" and not path.endswith(_JPEG_STREAMS) and self.peek(3) == JPEG

    @property
    def is_web_page(self) -> bool:
        """Whether it is for people to read."""
        return self.kind == "text/html" and self.peek(256).lstrip()[:1] in {b"<", b""}

    @property
    def is_for_reading_on(self) -> bool:
        """Whether what has begun is best read on here: a file and a playlist FFmpeg wants to open itself."""
        return self.length is None and not self.is_playlist

    @property
    def is_playlist(self) -> bool:
        """Whether it only names what FFmpeg is to get: its length is not the video's."""
        return self.peek(16).lstrip().startswith(_PLAYLISTS)

    def peek(self, size: int) -> bytes:
        """The first bytes, at most so many, which stay to be read."""
        return bytes(self._response.peek(size)[:size])

    def read(self, size: int) -> bytes:
        """At most so many bytes as soon as there are any, and at the end none.

        Raises:
            OSError: nothing came in time, or the connection is lost; ``strerror`` has nothing of the URL.
        """
        try:
            return self._response.read1(size)
        except (OSError, HTTPException) as error:
            raise OSError(0, reason_of(error, self._socket.gettimeout() or 0.0)) from None

    @property
    def waiting(self) -> bool:
        """Whether more of it has come than was read, or its end."""
        if self._response.isclosed():  # newer versions of Python close it with the last byte that was told
            return True
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def patience(self, seconds: float) -> None:
        """How long a read may take from now on."""
        self._socket.settimeout(seconds)

    def hang_up(self) -> None:
        """End a read that is under way. From any thread."""
        with suppress(OSError):
            self._socket.shutdown(SHUT_RDWR)

    def close(self) -> None:
        """Free the connection."""
        self._response.close()


def ask(url: str, *, timeout_s: float) -> Answer | None:
    """The answer to a GET of ``url``, redirections and the login that the server wants included.

    None if it is not HTTP as Python's library understands it: perhaps FFmpeg does.

    Raises:
        OSError: nobody is there, or does not answer in time, or refuses; ``strerror`` has nothing of the URL.
    """
    sockets: list[socket.socket] = []
    try:
        parts = urlsplit(url)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if parts.username is not None:
            passwords.add_password(None, bare, unquote(parts.username), unquote(parts.password or ""))
        return Answer(_get(bare, passwords, sockets.append, timeout_s), sockets[-1])
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"the server answers {error.code} {responses.get(error.code, '')}".rstrip()
    except OSError as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        reason = reason_of(cause, timeout_s)
    except (HTTPException, ValueError):
        return None
    raise OSError(0, reason)


def reason_of(error: object, timeout_s: float) -> str:
    """Why a request or a read has failed, with nothing of the URL."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, str):
        return error
    return getattr(error, "strerror", None) or type(error).__name__


class _Plain(HTTPConnection):
    """Shows its socket, which urllib hides, and with that the only way to a deadline for each read."""

    def __init__(self, *args: Any, keep: Callable[[socket.socket], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._keep = keep

    def connect(self) -> None:
        super().connect()
        self._keep(self.sock)


class _Encrypted(_Plain, HTTPSConnection):
    """The same over TLS."""


class _Handler(urllib.request.HTTPSHandler):
    """Connects, with and without TLS."""

    def __init__(self, keep: Callable[[socket.socket], None]) -> None:
        # As FFmpeg does it: cameras have certificates that they have made themselves.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        super().__init__(context=context)
        self._unverified = context
        self._kept = keep

    http_request = urllib.request.HTTPSHandler.do_request_

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(partial(_Plain, keep=self._kept), req)

    def https_open(self, req: urllib.request.Request) -> Any:
        make = partial(_Encrypted, keep=self._kept)
        return self.do_open(make, req, context=self._unverified)


def _get(
    url: str,
    passwords: urllib.request.HTTPPasswordMgr,
    keep: Callable[[socket.socket], None],
    timeout_s: float,
) -> Any:
    opener = urllib.request.OpenerDirector()
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        _Handler(keep),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDigestAuthHandler(passwords),
        urllib.request.HTTPBasicAuthHandler(passwords),
    ]
    for handler in handlers:
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "edged"), ("Accept", "*/*")]
    try:
        return opener.open(url, timeout=timeout_s)
    finally:
        for handler in handlers:
            handler.parent = None  # type: ignore[assignment]  # a circle, else
