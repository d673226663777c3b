"""Who may look, and where we listen."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING

import pytest
from loaded import load, refused

from edged.errors import ConfigError
from edged.http.access import Guard, read_token
from edged.http.guesses import Guesses
from edged.settings.listener import parse

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "0123456789abcdef"  # noqa: S105  # of nobody


def basic(password: str, user: str = "me") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [f"Bearer {TOKEN}", f"bearer  {TOKEN} ", basic(TOKEN), basic(TOKEN, user=""), basic(TOKEN, user="ü")],
)
def test_the_token_opens(authorization: str) -> None:
    assert Guard(TOKEN).problem(host="cam.example", authorization=authorization) == 0


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        TOKEN,
        "Bearer",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        "Bearer ü",
        "Basic",
        "Basic ???",
        "Basic " + base64.b64encode(TOKEN.encode()).decode(),
        basic(""),
        basic("me", user=TOKEN),
        f"Digest {TOKEN}",
    ],
)
def test_nothing_else_does(authorization: str) -> None:
    assert Guard(TOKEN).problem(host="127.0.0.1", authorization=authorization) == 401


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "127.9.9.9"])
def test_without_a_token_this_machine_may_look(host: str) -> None:
    assert Guard(None).problem(host=host, authorization="") == 0


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.0.0.1.evil.example:8080", "localhost.evil.example", "192.0.2.2", "[::1", "a@b"],
)
def test_without_a_token_a_name_that_was_made_to_lead_here_is_refused(host: str) -> None:
    assert Guard(None).problem(host=host, authorization="") == 421


def test_what_a_browser_keeps_ends() -> None:
    guard = Guard(TOKEN)
    now = int(time.time())
    assert 90 < guard.left(guard.pass_until(now + 100)) <= 100
    assert guard.left(guard.pass_until(now - 1)) == 0
    assert Guard(None).left(Guard(None).pass_until(now + 100)) == 0


def test_guesses_are_forgiven_with_time_and_their_number_is_bounded() -> None:
    now = 0.0
    guesses = Guesses(lambda: now)
    assert [guesses.wrong("192.0.2.1") for _ in range(12)] == [0] * 10 + [6, 6]
    assert guesses.wrong("192.0.2.2") == 0
    now = 6.1
    assert [guesses.wrong("192.0.2.1") for _ in range(2)] == [0, 6]
    for number in range(3000):
        guesses.wrong(f"2001:db8::{number:x}")
    assert guesses.wrong("192.0.2.1") == 6  # one network is one guesser
    for number in range(3000):
        guesses.wrong(f"2001:db8:0:{number:x}::1")
    assert len(guesses) == 1024


def test_a_flood_of_addresses_pushes_out_neither_who_waits_nor_who_goes_on_guessing() -> None:
    guesses = Guesses(lambda: 0.0)

    async def flood() -> None:
        async with guesses.turn("waiting"):
            for number in range(1500):
                guesses.wrong(f"another {number}")
                if number % 500 == 0:
                    guesses.wrong("guessing")

    for address in ("waiting", "guessing", "idle"):
        assert [guesses.wrong(address) for _ in range(11)] == [0] * 10 + [6]
    asyncio.run(flood())
    assert [guesses.wrong(address) for address in ("waiting", "guessing", "idle")] == [6, 6, 0]


def test_a_token_is_read_without_the_end_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    assert read_token(path) == TOKEN


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 32, b"sixteen letters\nand a second line"])
def test_what_is_no_token_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="EDGED_HTTP_TOKEN_FILE") as told:
        read_token(path)
    assert "short" not in str(told.value)


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^EDGED_HTTP_TOKEN_FILE='/.*nowhere' cannot be read"):
        read_token(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("localhost:0", "localhost", 0, True),
        ("[::1]:80", "::1", 80, True),
        ("0.0.0.0:8080", "0.0.0.0", 8080, False),  # noqa: S104  # only parsed
        ("[::]:8080", "::", 8080, False),
        ("cam.example:65535", "cam.example", 65535, False),
    ],
)
def test_addresses(text: str, host: str, port: int, loopback: bool) -> None:  # noqa: FBT001
    address = parse(text)
    assert (address.host, address.port, address.loopback) == (host, port, loopback)


@pytest.mark.parametrize(
    "text",
    ["", "8080", ":8080", "::1:80", "host:", "host:x", "host:65536", "host:-1", "http://h:1", "a b:1", "h:٣"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="host:port"):
        parse(text)


@pytest.mark.parametrize(
    ("http", "token", "fits"),
    [
        ("127.0.0.1:8080", False, True),
        ("127.0.0.1:8080", True, True),
        ("0.0.0.0:8080", False, False),
        ("0.0.0.0:8080", True, True),
        ("192.0.2.7:8080", False, False),
        ("nonsense", True, False),
    ],
)
def test_other_machines_need_a_token(http: str, token: bool, fits: bool) -> None:  # noqa: FBT001
    environ = {"EDGED_HTTP": http}
    if token:
        environ["EDGED_HTTP_TOKEN_FILE"] = "token"  # noqa: S105  # a path
    if fits:
        assert load(**environ).http == http
    else:
        assert "EDGED_HTTP=" in refused(**environ)
