"""What a part of the daemon has read of the settings: it holds until just that is changed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from loaded import REQUIRED, SECRET, load

from edged.settings.reading import Reading

if TYPE_CHECKING:
    from pathlib import Path


def test_a_published_fingerprint_changes_with_every_setting_but_a_password() -> None:
    seen = {load().fingerprint, load(EDGED_WORKERS="2").fingerprint, load(EDGED_CLASSES="cat").fingerprint}
    url = "mqtt://user:{}@broker"
    first, second = (load(EDGED_MQTT_URL=url.format(secret)).fingerprint for secret in (SECRET, "other"))
    assert len(seen | {first}) == 4
    assert first == second, "who reads it could find a short password by trying"
    assert (
        load(EDGED_SOURCE=f"rtsp://u:{SECRET}@c/s").fingerprint
        == load(EDGED_SOURCE="rtsp://u:x@c/s").fingerprint
    )


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    script = "from edged.settings import loading; print(loading.load().fingerprint)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=REQUIRED | {"EDGED_NODE": "lab"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == load(EDGED_NODE="lab").fingerprint


def test_a_reading_holds_while_what_was_read_stays_the_same() -> None:
    reading = Reading(load(EDGED_WORKERS="2", EDGED_CAMERA="door"))
    assert (reading.workers, reading.camera) == (2, "door")
    assert reading.holds_for(load(EDGED_WORKERS="2", EDGED_CAMERA="door"))
    assert reading.holds_for(load(EDGED_WORKERS="2", EDGED_CAMERA="door", EDGED_SCORE_THRESHOLD="0.9"))
    assert not reading.holds_for(load(EDGED_WORKERS="3", EDGED_CAMERA="door"))
    assert not reading.holds_for(load(EDGED_WORKERS="2"))


def test_a_file_that_changes_between_two_readings_of_its_name_has_changed(tmp_path: Path) -> None:
    """What was made of it may be what was in it first."""
    secret = tmp_path / "secret"
    secret.write_text("one")
    settings = load(EDGED_MQTT_PASSWORD_FILE=str(secret))
    reading = Reading(settings)
    assert reading.mqtt_password_file == secret
    secret.write_text("another")
    assert reading.mqtt_password_file == secret
    assert not reading.holds_for(settings)


def test_a_reading_of_nothing_always_holds() -> None:
    assert Reading(load()).holds_for(load(EDGED_WORKERS="3"))


def test_a_file_that_is_read_counts_by_what_is_in_it(tmp_path: Path) -> None:
    """A password may be changed by an edit of its file; what edged writes itself changes all the time."""
    secret, video = tmp_path / "secret", tmp_path / "out.mp4"
    settings = load(EDGED_MQTT_PASSWORD_FILE=str(secret), EDGED_OUTPUT=str(video))
    reading = Reading(settings)
    assert (reading.mqtt_password_file, reading.output) == (secret, video)
    video.write_text("a")
    assert reading.holds_for(settings)
    secret.write_text("first")
    assert not reading.holds_for(settings), "there was none"
    reading = Reading(settings)
    assert reading.mqtt_password_file == secret
    assert reading.holds_for(settings)
    secret.write_text("second")
    assert not reading.holds_for(settings)


def test_a_reading_notes_what_is_read_later() -> None:
    reading = Reading(load())
    assert reading.holds_for(load(EDGED_LOOP="true"))
    assert reading.loop is False
    assert not reading.holds_for(load(EDGED_LOOP="true"))
