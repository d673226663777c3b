"""What may be shown of a camera's URL."""

from __future__ import annotations

import pytest

from edged.sources import redacted


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("rtsp://user:secret@cam.example:554/live", "rtsp://cam.example:554/live"),
        ("rtsp://user@cam/live", "rtsp://cam/live"),
        ("rtsp://user:p%40ss@[fe80::1]:554/a@b?x=1", "rtsp://[fe80::1]:554/a@b?x=1"),
        ("rtsp://u:a@b:secret@cam/live", "rtsp://cam/live"),
        ("rtsp://cam:554/live", "rtsp://cam:554/live"),
        ("http://cam/video.cgi?user=admin&pwd=secret&res=1", "http://cam/video.cgi?user=***&pwd=***&res=1"),
        ("http://cam/x?loginpas=secret", "http://cam/x?loginpas=***"),
        ("http://cam/x?res=1&authToken=secret#top", "http://cam/x?res=1&authToken=***#top"),
        ("clips/a@b.mp4", "clips/a@b.mp4"),
        ("/dev/video0", "/dev/video0"),
        ("synthetic:?width=640", "synthetic:?width=640"),
    ],
)
def test_secrets_are_left_out_and_nothing_else(spec: str, shown: str) -> None:
    """User, password and tokens go, the rest stays."""
    assert redacted(spec) == shown


@pytest.mark.parametrize(
    "spec",
    [
        "rtsp://user:sec/ret@cam/live",
        "rtsp://user:sec?ret@cam/live",
        "rtsp://user:sec#ret@cam/live",
        "rtsp://user:secret@@cam/live",
        "http://user:secret@cam/x?password=secret",
    ],
)
def test_malformed_urls_give_nothing_away(spec: str) -> None:
    """A password that should have been percent-encoded is not shown in part either."""
    assert "sec" not in redacted(spec)
    assert "ret" not in redacted(spec)
