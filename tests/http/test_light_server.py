"""What only visitors need is imported when the first of them comes."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from daemon import until
from made import START, result
from viewing import get, port, serving

from edged.errors import ConfigError
from edged.metrics import Meter
from edged.settings.loading import load
from edged.sinks import Context, NoControl
from edged.sinks.http import HttpSink

ALONE = """
import http.client, sys
from edged.http.site import Site
from edged.settings.listener import parse
from edged.sinks.http import HttpSink

sink = HttpSink(Site(parse("127.0.0.1:0"), token=None))
sink.open()
print(*(name in sys.modules for name in ("tornado", "prometheus_client")))
connection = http.client.HTTPConnection(sink.url.removeprefix("http://").rstrip("/"), timeout=30)
connection.request("GET", "/live.json")
print(connection.getresponse().status, "tornado" in sys.modules)
sink.close()
alone = HttpSink(Site(parse("127.0.0.1:0"), token=None))
alone.open()
alone.close()
"""


def test_what_only_visitors_need_comes_with_the_first_of_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=True, timeout=60
    )
    lines = [line for line in done.stdout.splitlines() if "live_view" not in line]
    assert lines == ["False False", "200 True"]


@pytest.mark.parametrize("package", ["tornado", "prometheus_client"])
def test_a_package_that_is_missing_is_told_before_anybody_comes(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    settings = load(
        None, environ={"EDGED_SOURCE": "synthetic:", "EDGED_MODEL": "m.tflite", "EDGED_HTTP": "127.0.0.1:0"}
    )
    with pytest.raises(ConfigError, match=f"needs the package {package}.*edged\\[http\\]"):
        HttpSink.create(settings, Context(Meter(), NoControl(), "0" * 32))


def test_who_comes_waits_for_nobody_where_the_server_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after an update under a running daemon: a health check that hangs tells nothing."""
    monkeypatch.setitem(sys.modules, "edged.http.serving", None)
    with serving() as sink:
        taken = port(sink)
        with pytest.raises(OSError):  # noqa: PT011  # the connection is reset, or refused
            get(sink, "/healthz")

        def refused() -> bool:
            with socket.socket() as visitor:
                return visitor.connect_ex(("127.0.0.1", taken)) != 0

        until(refused)
        sink.send(result(0, pts=0, ts=START))
