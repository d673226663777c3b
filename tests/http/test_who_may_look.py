"""Who is let in to the live view, and who has to wait or stays outside."""

from __future__ import annotations

import base64
import contextlib
import socket
import time
from typing import TYPE_CHECKING

import pytest
from viewing import RUNNING, TOKEN, Camera, get, port, serving

from edged.http.access import KEPT_S, Guard

if TYPE_CHECKING:
    from edged.sinks.http import HttpSink


def own_address() -> str:
    """An address of this machine that others could use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but 127.0.0.1")
        address: str = probe.getsockname()[0]
    return address


PATHS = (
    "/",
    "/live.json",
    "/now.json",
    "/stream.mjpg",
    "/stream.mp4",
    "/snapshot.jpg",
    "/metrics",
    "/healthz",
)


def test_from_elsewhere_nothing_is_shown_without_the_token() -> None:
    with serving("0.0.0.0:0", TOKEN) as sink, Camera(sink):  # that is the case
        outside = own_address()
        for path in (*PATHS, "/nothing"):
            status, headers, body = get(sink, path, host=outside)
            assert status == 401
            assert headers["Www-Authenticate"].startswith("Basic")
            assert len(body) < 50
            assert get(sink, path, host=outside, Authorization="Bearer wrong")[0] == 401
        sink.state(RUNNING)
        for path in ("/", "/live.json", "/snapshot.jpg", "/metrics", "/healthz"):
            assert get(sink, path, host=outside, Authorization=f"Bearer {TOKEN}")[0] == 200


def test_many_wrong_tokens_are_slowed_down_and_the_right_one_still_opens() -> None:
    with serving(token=TOKEN) as sink:
        wrong = [get(sink, "/", Authorization=f"Bearer {number}")[:2] for number in range(14)]
        assert [status for status, _ in wrong[:10]] == [401] * 10
        # On a machine that is slow enough one or the other of the rest has been forgiven.
        slowed = next(headers for status, headers in wrong[10:] if status == 429)
        assert slowed["Retry-After"] == "6"
        assert "Www-Authenticate" not in slowed
        assert get(sink, "/")[0] == 401  # who offers none guesses nothing
        began = time.monotonic()
        assert get(sink, "/", Authorization=f"Bearer {TOKEN}")[0] == 200
        assert 0.2 < time.monotonic() - began < 30  # a turn among those who guess


def test_who_hangs_up_leaves_the_line_of_those_who_guess() -> None:
    with serving(token=TOKEN) as sink:
        for number in range(11):
            get(sink, "/", Authorization=f"Bearer {number}")
        for _ in range(200):
            with socket.create_connection(("127.0.0.1", port(sink))) as guesser:
                guesser.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n")
        began = time.monotonic()
        while (
            True
        ):  # there are no more connections than so many at a time, and it takes a moment to see them gone
            with contextlib.suppress(ConnectionError):
                assert get(sink, "/", Authorization=f"Bearer {TOKEN}")[0] == 200
                break
        assert time.monotonic() - began < 30  # 200 turns would be 50 s


def test_a_browser_that_has_shown_the_token_is_let_in_without_it() -> None:
    """A phone forgets the password with the window. The cookie ends with the token and does not tell it."""
    basic = "Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode()
    with serving(token=TOKEN) as sink:
        cookie = get(sink, "/", Authorization=basic)[1]["Set-Cookie"]
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        assert TOKEN not in cookie
        kept = cookie.split(";")[0]
        status, headers, _ = get(sink, "/live.json", Cookie=kept)
        assert status == 200
        assert "Set-Cookie" not in headers
        for number in range(11):
            get(sink, "/", Authorization=f"Bearer {number}")
        took_s = []
        for _ in range(5):
            began = time.monotonic()
            assert get(sink, "/live.json", Cookie=kept)[0] == 200
            took_s.append(time.monotonic() - began)
        assert min(took_s) < 0.25, "as long as a turn takes"
        name, _, value = kept.partition("=")
        end, _, seal = value.partition(".")
        for forged in (f"{int(end) + 1}.{seal}", f"{end}.", f".{seal}", f"x.{seal}", "ü.ü", seal):
            assert get(sink, "/", Cookie=f"{name}={forged}".encode().decode("latin-1"))[0] == 401
        assert "Set-Cookie" not in get(sink, "/metrics", Authorization=f"Bearer {TOKEN}")[1]
    with serving(token=TOKEN[::-1]) as sink:
        assert get(sink, "/", Cookie=kept)[0] == 401


def test_a_browser_that_comes_again_is_let_in_for_longer() -> None:
    """Once half of the time is over: who looks every day is never asked again."""
    guard = Guard(TOKEN)
    with serving(token=TOKEN) as sink:
        for left_s, renewed in ((0.6 * KEPT_S, False), (0.4 * KEPT_S, True)):
            kept = guard.pass_until(int(time.time() + left_s))
            status, headers, _ = get(sink, "/live.json", Cookie=f"{guard.cookie}={kept}")
            assert (status, "Set-Cookie" in headers) == (200, renewed)
        assert guard.left(headers["Set-Cookie"].partition("=")[2].partition(";")[0]) > 0.9 * KEPT_S


def test_a_name_that_was_made_to_lead_here_is_refused(sink: HttpSink) -> None:
    assert get(sink, "/live.json", Host="evil.example")[0] == 421
