"""Addresses of webhooks: which are refused, what of them is told, and whether somebody is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from daemon import edged
from taker import SECRET, Server

from edged.errors import ConfigError
from edged.settings import loading
from edged.webhook.server import HttpServer, WebhookError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"htps://api.telegram.org/{SECRET}/send", "EDGED_WEBHOOK_URL='htps://api.telegram.org/***'"),
        (f"https:/api.telegram.org/{SECRET}", "EDGED_WEBHOOK_URL='***'"),
        (f"https://{SECRET}/send", "EDGED_WEBHOOK_URL='***'"),
        (f"{SECRET}?send", "EDGED_WEBHOOK_URL='***'"),
        (SECRET, "EDGED_WEBHOOK_URL='***'"),
        (f"https://host/{SECRET} x", "EDGED_WEBHOOK_URL='https://host/***'"),
    ],
)
def test_an_address_that_is_none_is_told_without_what_is_secret_in_it(url: str, shown: str) -> None:
    common = {"EDGED_SOURCE": "synthetic:", "EDGED_MODEL": "m.tflite"}
    with pytest.raises(ConfigError) as refused:
        loading.load(None, environ=common | {"EDGED_WEBHOOK_URL": url})
    assert shown in str(refused.value)
    assert "Hunter" not in str(refused.value)


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_an_ipv6_address_needs_no_port(scheme: str, port: int) -> None:
    connection = HttpServer(f"{scheme}://[fe80::1]/{SECRET}")._connection(1.0)  # noqa: SLF001  # sends nothing
    assert (connection.host, connection.port) == ("fe80::1", port)


@pytest.mark.parametrize("host", ["hooks..example", "a" * 70 + ".example"])
def test_a_host_whose_name_is_malformed_is_told(host: str) -> None:
    with pytest.raises(WebhookError, match="cannot be reached: its name is malformed") as refused:
        HttpServer(f"http://{host}/{SECRET}").reach(1.0)
    assert "Hunter" not in str(refused.value)


def test_check_says_whether_the_server_is_there_and_sends_nothing(demo_model: Path) -> None:
    settings = {"EDGED_SOURCE": "synthetic:?count=1&live=false", "EDGED_MODEL": str(demo_model)}
    with Server(200) as server:
        done = edged("check", settings=settings | {"EDGED_WEBHOOK_URL": server.url})
    assert f"ok    webhook: http://127.0.0.1:{server.port}/*** answers" in done.stdout
    assert done.returncode == 0
    assert server.got == []
    done = edged("check", settings=settings | {"EDGED_WEBHOOK_URL": server.url})
    assert f"WRONG webhook: http://127.0.0.1:{server.port}/*** cannot be reached" in done.stdout
    assert done.returncode == 69
    assert "Hunter" not in done.stdout + done.stderr
