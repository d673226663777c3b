"""A webhook over TLS: the machine's certificates are read once, and again where a server is not known."""

from __future__ import annotations

import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from edged.contract.notices import Body
from edged.webhook.server import HttpServer, WebhookError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Takes everything, over a connection each."""

    def do_POST(self) -> None:  # the name is the library's
        """It is read and taken."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def server(certificate: Path) -> Iterator[int]:
    """The port where such a server listens."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield http.server_port
        http.shutdown()
        thread.join(10)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, with its key, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(path), "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    with path.open("ab") as stream:
        stream.write(path.with_name(f"{path.name}.crt").read_bytes())
    return path


def test_certificates_are_read_once_and_again_where_a_server_is_not_known(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    real = ssl.create_default_context

    def counted() -> ssl.SSLContext:
        nonlocal read
        read += 1
        return real()

    monkeypatch.setattr(ssl, "create_default_context", counted)
    body = Body(b"{}", {"Content-Type": "application/json"})
    with server(certificate) as port:
        taker = HttpServer(f"https://127.0.0.1:{port}/")
        for _ in range(2):
            with pytest.raises(WebhookError, match="cannot be reached"):
                taker.post(body, 10.0)
        assert read == 2, "somebody may have installed what was missing"
        monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
        for _ in range(3):
            taker.post(body, 10.0)
        assert read == 3
        taker.hang_up()
