"""The server that takes events: what it is sent, and what its answers mean."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import edged
from edged.errors import SinkError
from edged.settings.http_url import basic_login
from edged.settings.secrets import server_of
from edged.webhook.exchange import exchange, is_quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.contract.notices import Body
    from edged.webhook.exchange import Reply

_BUSY = frozenset({408, 425, 429})
"""Answers of a server that wants to be asked again; so does every answer from 500 on."""


class WebhookError(SinkError):
    """The server has not taken a notice."""

    def __init__(self, problem: str, *, final: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(problem)
        self.final = final
        """Whether it will not take it next time either."""
        self.wait_s = wait_s
        """How long it asks us to wait."""


class HttpServer:
    """Takes bodies by POST, over one connection if it likes. What it is called in messages holds no secret.

    Not thread-safe.

    Args:
        url: http or https; user and password are sent as Basic authentication.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None  # noqa: S101  # the settings see to it
        self.name = server_of(url)
        self._tls = parts.scheme == "https"
        # Said even where it is the usual one: http.client looks for one in an IPv6 address else.
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = f"[{self._host}]" if ":" in self._host else self._host
        if self._port != (443 if self._tls else 80):
            host += f":{self._port}"
        self._begins = [f"POST {target} HTTP/1.1", f"Host: {host}", f"User-Agent: edged/{edged.__version__}"]
        """How every request begins."""
        if parts.username is not None or parts.password is not None:
            login = basic_login(parts.username or "", parts.password or "")
            self._begins.append(f"Authorization: {login}")
        self._kept: http.client.HTTPConnection | None = None
        """The connection of the last body, which the server has left open."""
        self._trust: ssl.SSLContext | None = None
        """Knows the machine's certificates: to read them takes longer than all else of a connection."""

    def reach(self, timeout_s: float) -> None:
        """Connect, and send nothing.

        Raises:
            WebhookError: nobody is there.
        """
        with self._translated(timeout_s), contextlib.closing(self._connection(timeout_s)) as connection:
            connection.connect()

    def post(self, body: Body, timeout_s: float) -> None:
        """Send one body. It may come twice, if the server hangs up when it has it and before it says so.

        Raises:
            WebhookError: it was not taken.
        """
        with self._translated(timeout_s):
            answer = self._answer(body, timeout_s)
        status, wait = answer.status, answer.headers.get("retry-after", "")
        if 200 <= status < 300:  # noqa: PLR2004  # RFC 9110: successful
            return
        busy = status in _BUSY or status >= 500  # noqa: PLR2004  # RFC 9110: server error
        raise WebhookError(
            f"{self.name} answers {status} {http.client.responses.get(status, '')}".rstrip(),
            final=not busy,
            wait_s=min(float(wait), 300.0) if wait.isdecimal() else 0.0,
        )

    def hang_up(self) -> None:
        """Nothing is sent for a while: close the connection, if one is left."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _answer(self, body: Body, timeout_s: float) -> Reply:
        if self._kept is not None and not is_quiet(self._kept.sock):
            self.hang_up()
        kept, self._kept = self._kept, None
        if kept is not None:
            try:
                return self._exchange(kept, body, timeout_s)
            except (ConnectionError, ssl.SSLError):
                pass  # it has hung up meanwhile, as it may
        return self._exchange(self._connection(timeout_s), body, timeout_s)

    def _exchange(self, connection: http.client.HTTPConnection, body: Body, timeout_s: float) -> Reply:
        """Send and hear over one connection, which is kept if another answer can come over it."""
        try:
            if connection.sock is None:
                connection.connect()
            answer = exchange(connection.sock, self._request(body), timeout_s)
            if answer.reusable:
                self._kept = connection
        finally:
            if self._kept is not connection:
                connection.close()
        return answer

    def _request(self, body: Body) -> bytes:
        """All that is sent, in one piece."""
        headers = {**body.headers, "Content-Length": len(body.content)}
        lines = [*self._begins, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode("ascii") + body.content

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._tls:
            if self._trust is None:
                self._trust = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._trust)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)

    @contextlib.contextmanager
    def _translated(self, timeout_s: float) -> Iterator[None]:
        """What the network raises as one kind of error, without the URL."""
        try:
            yield
        except TimeoutError as error:
            raise WebhookError(f"{self.name} does not answer within {timeout_s:.0f} s") from error
        except http.client.HTTPException as error:
            raise WebhookError(f"{self.name} does not speak HTTP ({type(error).__name__})") from error
        except UnicodeError as error:
            raise WebhookError(f"{self.name} cannot be reached: its name is malformed") from error
        except OSError as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                self._trust = None  # the machine may have others by now
            raise WebhookError(f"{self.name} cannot be reached: {error.strerror or error}") from error
