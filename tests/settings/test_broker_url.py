"""The broker's URL, and the secrets that come with it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import ConfigError
from edged.mqtt.link import credentials
from edged.settings.broker import Broker, parse_url
from edged.settings.secrets import without_credentials


@pytest.mark.parametrize(
    ("text", "broker"),
    [
        ("mqtt://broker", Broker("broker", 1883)),
        ("mqtt://broker/", Broker("broker", 1883)),
        ("mqtts://broker.lan", Broker("broker.lan", 8883, tls=True)),
        ("mqtt://ann@10.0.0.1:1884", Broker("10.0.0.1", 1884, username="ann")),
        ("mqtt://ann:p%40ss@[::1]:1883", Broker("::1", 1883, username="ann", password="p@ss")),  # noqa: S106
    ],
)
def test_a_url_names_host_port_tls_and_user(text: str, broker: Broker) -> None:
    assert parse_url(text) == broker


def test_a_broker_never_shows_its_password() -> None:
    broker = parse_url("mqtts://ann:secret@[::1]:1884")
    assert str(broker) == "mqtts://[::1]:1884"
    assert "secret" not in repr(broker)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("broker:1883", r"not with mqtt://.*Write mqtt://broker:1883, or mqtts://broker:1883 if"),
        ("broker.lan:1883", "begins with nothing and not with mqtt://"),
        ("broker", "begins with nothing"),
        ("http://broker", "begins with http://"),
        ("mqtt://", "no host"),
        ("mqtt://broker:0", "port 0"),
        ("mqtt://broker:99999", "malformed"),
        ("mqtt://broker:port", "malformed"),
        ("mqtt://[::1", "malformed"),
        ("mqtt://broker/topic", "nothing may follow"),
        ("mqtt://broker?x=1", "nothing may follow"),
        ("mqtt://bro ker", "blanks"),
        ("mqtt://broker\n", "blanks"),
        ("mqtt://:secret@broker", "no user"),
    ],
)
def test_a_malformed_url_is_named_with_its_mend(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        parse_url(text)
    assert "EDGED_MQTT_URL" in str(caught.value)
    assert "mqtt://user@host:1883" in str(caught.value)
    assert "secret" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_broker_or_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse_url(text)


@given(st.sampled_from(["mqtt://", "mqtts:", "http://", "//", ""]), st.text("abc:/?#@[]%", max_size=20))
def test_no_part_before_an_at_sign_is_repeated(scheme: str, noise: str) -> None:
    assert "hunter2" not in without_credentials(f"{scheme}ann:{noise}hunter2@host")
    with pytest.raises(ConfigError) as caught:
        parse_url(f"{scheme}ann:{noise}hunter2@host:x")
    assert "hunter2" not in str(caught.value)


def test_a_password_file_gives_its_content_without_the_line_break(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(" s3cret \n")
    assert credentials.password(file) == " s3cret "


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "empty"), (b"\xff", "UTF-8"), (b"x" * 70_000, "bytes")]
)
def test_a_password_file_without_a_password_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        credentials.password(file)


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^EDGED_MQTT_PASSWORD_FILE='.*nowhere' cannot be read: No such file"
    ):
        credentials.password(tmp_path / "nowhere")


def test_what_may_be_the_password_itself_is_not_shown() -> None:
    """Who has taken the setting for that of the password."""
    told = "^EDGED_MQTT_PASSWORD_FILE, a file in the folder where edged runs, cannot be read: No such file"
    with pytest.raises(ConfigError, match=told) as caught:
        credentials.password(Path("s3cret"))
    assert "s3cret" not in str(caught.value)
