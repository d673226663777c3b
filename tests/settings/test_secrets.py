"""What may be shown of a setting: never a credential, however it was written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.settings.secrets import has_credentials, shown, without_addresses, without_credentials


@pytest.mark.parametrize(
    ("spec", "may_be_shown"),
    [
        ("rtsp://user:secret@cam.example:554/live", "rtsp://cam.example:554/live"),
        ("rtsp://user@cam/live", "rtsp://cam/live"),
        ("rtsp://user:p%40ss@[fe80::1]:554/live/1", "rtsp://[fe80::1]:554/live/1"),
        ("rtsp://u:a@b:secret@cam/live", "rtsp://cam/live"),
        ("rtsp://cam:554/live", "rtsp://cam:554/live"),
        ("http://cam/video.cgi?user=admin&pwd=secret&res=1", "http://cam/video.cgi?***"),
        (
            "rtmp://cam/bcs/channel0.bcs?channel=0&user=admin&password=secret",
            "rtmp://cam/bcs/channel0.bcs?***",
        ),
        ("rtsp://cam/user=admin_password=secret_channel=1.sdp?real", "rtsp://cam/***?***"),
        ("http://cam/x#secret", "http://cam/x#***"),
        ("RTSP://user:secret@cam/live", "RTSP://cam/live"),
        ("clips/a@b.mp4", "clips/a@b.mp4"),
        ("/dev/video0", "/dev/video0"),
        ("synthetic:?width=640", "synthetic:?width=640"),
    ],
)
def test_credentials_are_left_out_and_nothing_else(spec: str, may_be_shown: str) -> None:
    """Scheme, host, port and the plain parts of the path stay."""
    assert without_credentials(spec) == may_be_shown
    assert has_credentials(spec) == (spec != may_be_shown)


RESERVED = "@:/?#[]%&=+;,! $'()*\\\"<>^`{|}~"
SECRETS = st.text(RESERVED + "xyz", min_size=1, max_size=8).map(lambda noise: f"Hunter{noise}2Secret")
"""Something that can be recognised on both sides of any reserved characters."""
SCHEMES = st.sampled_from(["rtsp", "RTSP", "http", "https", "rtmp", "srt", "mqtt", "mqtts"])
FORMS = st.sampled_from(
    [
        "{scheme}://{user}:{password}@cam.lan:554/live",
        "{scheme}://{user}@cam.lan/live",
        "{scheme}://cam.lan/live?channel=0&user={user}&password={password}",
        "{scheme}://{user}:{password}@cam.lan/live?user={user}&password={password}#{password}",
        "{scheme}://cam.lan/user={user}_password={password}_channel=1.sdp",
        "{scheme}://{user}:{password}@cam.lan",
        "{scheme}://cam.lan/live/key={password}",
    ]
)


@settings(max_examples=2000, deadline=None)
@given(SCHEMES, FORMS, SECRETS, SECRETS)
def test_two_thousand_credentials_with_every_reserved_character(
    scheme: str, form: str, user: str, password: str
) -> None:
    """No part of user or password is shown, wherever they stand and however badly they were written."""
    for text in (
        without_credentials(form.format(scheme=scheme, user=user, password=password)),
        shown(form.format(scheme=scheme, user=user, password=password)),
        without_addresses(f"broken: '{form.format(scheme=scheme, user=user, password=password)}'"),
    ):
        assert "Hunter" not in text
        assert "2Secret" not in text


@given(st.text())
def test_any_text_can_be_shown(text: str) -> None:
    """Whatever stands in a setting, showing it is no error."""
    assert shown(text)
    assert shown(text, "EDGED_MQTT_PASSWORD_FILE") == "'***'"
