"""What is set and has no effect is told, and nothing else."""

from __future__ import annotations

from edged.settings import idle, loading
from edged.settings.declared import Settings

REQUIRED = {"EDGED_SOURCE": "clip.mp4", "EDGED_MODEL": "model.tflite"}


def notes(**environ: str) -> list[str]:
    return [*idle.notes(loading.load(None, REQUIRED | environ))]


def test_settings_that_wait_for_another_one_are_told_together() -> None:
    assert notes(EDGED_EVENTS="true", EDGED_SEGMENT="30", EDGED_POST_ROLL="3", EDGED_HA_DISCOVERY="true") == [
        "EDGED_HA_DISCOVERY does nothing while EDGED_MQTT_URL is not set",
        "EDGED_EVENTS, EDGED_SEGMENT do nothing while EDGED_OUTPUT is not set",
    ]
    assert notes(EDGED_OUTPUT="video", EDGED_POST_ROLL="3", EDGED_MOTION_CHECK="5") == [
        "EDGED_POST_ROLL does nothing while EDGED_EVENTS is false",
        "EDGED_MOTION_CHECK does nothing while EDGED_MOTION is off",
    ]


def test_what_has_its_default_and_what_has_an_effect_is_not_told() -> None:
    assert notes(EDGED_HA_DISCOVERY="false", EDGED_SEGMENT="60", EDGED_MQTT_VERSION="5") == []
    assert notes(EDGED_HTTP="127.0.0.1:1", EDGED_SPOOL="spool") == []


def test_what_a_setting_needs_is_one_that_can_be_off() -> None:
    for field in Settings.model_fields.values():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        needs = str(extra.get("needs", ""))
        assert needs == "" or Settings.model_fields[needs].default in {None, False, True, "off"}
