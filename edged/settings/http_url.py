"""URLs of web servers to which something is sent or that are asked: what is wrong with one, and its login."""

from __future__ import annotations

import base64
from urllib.parse import unquote, urlsplit


def problem_of(url: str) -> str:
    """Why nothing can be sent to this URL; empty if it can."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return "it holds blanks, control characters or letters that must be percent-encoded"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "host or port are malformed"
    if parts.scheme not in {"http", "https"}:
        return "it does not begin with http:// or https://"
    return "" if parts.hostname and port != 0 else "it names no host that can be reached"


def checked(url: str) -> str:
    """The URL as it is.

    Raises:
        ValueError: nothing can be sent to it.
    """
    if problem := problem_of(url):
        raise ValueError(problem)
    return url


def basic_login(user: str, password: str) -> str:
    """``Authorization`` (RFC 7617) for user and password as they stand in a URL, percent-encoded."""
    pair = f"{unquote(user)}:{unquote(password)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
