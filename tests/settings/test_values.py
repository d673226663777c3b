"""Values: how each kind is written, and what is said of one that is wrong."""

from __future__ import annotations

import re

import pytest
from loaded import REQUIRED, SECRET, load, refused

from edged.errors import ConfigError
from edged.settings import declared, loading


def test_a_value_on_the_edge_of_its_range_is_taken_and_one_beyond_is_not() -> None:
    assert load(EDGED_WORKERS="16", EDGED_SCORE_THRESHOLD="1", EDGED_MQTT_KEEPALIVE="65535").workers == 16
    for name, value in (
        ("EDGED_WORKERS", "17"),
        ("EDGED_SCORE_THRESHOLD", "0"),
        ("EDGED_SCORE_THRESHOLD", "1.01"),
        ("EDGED_MQTT_KEEPALIVE", "65536"),
        ("EDGED_STATS_INTERVAL", "0"),
        ("EDGED_IOU_THRESHOLD", "nan"),
        ("EDGED_STOP_TIMEOUT", "inf"),
    ):
        assert f"{name}={value!r}: input should be" in refused(**{name: value})


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "on"])
def test_words_for_yes(text: str) -> None:
    assert load(EDGED_LOOP=text).loop is True


@pytest.mark.parametrize("text", ["false", "FALSE", "0", "no", "off"])
def test_words_for_no(text: str) -> None:
    assert load(EDGED_MQTT_EMPTY=text).mqtt_empty is False


@pytest.mark.parametrize(
    ("text", "labels"),
    [("person", ("person",)), ("person, traffic light ,cat", ("person", "traffic light", "cat")), (",,", ())],
)
def test_a_list_is_separated_by_commas(text: str, labels: tuple[str, ...]) -> None:
    assert load(EDGED_CLASSES=text).classes == labels


def test_auto_stands_for_no_number_of_threads() -> None:
    assert load(EDGED_THREADS="auto").threads is None
    assert load(EDGED_THREADS="4").threads == 4


def test_zones_have_names_and_belong_to_a_camera_like_every_setting() -> None:
    common = {"EDGED_CAMERAS": "front,back", "EDGED_LINE_GATE": "0.1,0.5 0.9,0.5"}
    front, back = loading.load_all(
        None,
        REQUIRED | common | {"EDGED_FRONT_ZONE_PORCH": "person,car@0,0.5 0.5,0.5 0.5,1 dwell=3"},
    )
    (porch,) = front.zone
    assert (porch.name, porch.labels, porch.dwell_s) == ("porch", frozenset({"person", "car"}), 3.0)
    assert porch.points == ((0.0, 0.5), (0.5, 0.5), (0.5, 1.0))
    assert back.zone == ()
    assert [line.name for line in front.line] == [line.name for line in back.line] == ["gate"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EDGED_ZONE_PORCH", "0,0 1,0"),
        ("EDGED_ZONE_PORCH", "0,0 1,0 1,200"),
        ("EDGED_ZONE_PORCH", "0,0 1,0 1,1 dwell=long"),
        ("EDGED_LINE_GATE", "0,0 0,0"),
        ("EDGED_LINE_GATE", "0,0 1,1 dwell=3"),
        ("EDGED_MASK_ROAD", "here"),
        ("EDGED_SCORES", "person"),
        ("EDGED_SCORES", "person:2"),
        ("EDGED_AREAS", "person:0.5-0.1"),
    ],
)
def test_bad_zones_are_told_with_name_and_value(name: str, value: str) -> None:
    told = refused(**{name: value})
    assert f"{name}={value!r}" in told
    assert told.startswith("a setting is wrong:")


@pytest.mark.parametrize("name", ["EDGED_CAMERA", "EDGED_NODE", "EDGED_MQTT_PREFIX", "EDGED_HA_PREFIX"])
def test_a_part_of_a_topic_is_refused_in_words(name: str) -> None:
    needed = {"EDGED_SOURCE": "x", "EDGED_MODEL": "m"}
    with pytest.raises(
        ConfigError, match="a blank, '/' cannot stand: write letters, digits, _ and -"
    ) as told:
        loading.load(environ={**needed, name: "front door/a"})
    assert "pattern" not in str(told.value)


def test_all_wrong_zones_and_lines_are_told_at_once() -> None:
    told = refused(
        EDGED_ZONE_A="0,0 1,0",
        EDGED_ZONE_B="0,0 1,0 2,1",
        EDGED_ZONE_C="0,0 1,0 1,1 dwel=3",
        EDGED_LINE_D="0,0",
    )
    assert told.startswith("4 settings are wrong:")
    assert [line.partition("=")[0].strip() for line in told.splitlines()[1:]] == [
        "EDGED_ZONE_A",
        "EDGED_ZONE_B",
        "EDGED_ZONE_C",
        "EDGED_LINE_D",
    ]
    assert "dwell=3 may stand" in told


@pytest.mark.parametrize("corners", ["0.1,0.5 0.1,0.5 0.1,0.5", "0,0 0.5,0.5 1,1", "0.2,0.3 0.4,0.3 0.9,0.3"])
def test_a_polygon_with_nothing_inside_is_refused(corners: str) -> None:
    assert "all of its corners lie on one line" in refused(EDGED_ZONE_PORCH=corners)


@pytest.mark.parametrize(
    ("name", "value", "how"),
    [
        ("EDGED_MQTT_URL", "mqtt://ann:a#b@host", "percent-encoded"),
        ("EDGED_MQTT_URL", "broker.lan", "Write mqtt://broker.lan"),
        ("EDGED_HTTP", "8080", "Write 127.0.0.1:8080"),
    ],
)
def test_a_wrong_address_is_told_with_its_mend(name: str, value: str, how: str) -> None:
    """Beside everything else that is wrong."""
    told = refused(**{name: value, "EDGED_FPS": "many"})
    assert told.startswith("2 settings are wrong:")
    assert how in told


@pytest.mark.parametrize("name", ["EDGED_SOURCE", "EDGED_DETECT_SOURCE"])
@pytest.mark.parametrize("url", ["rstp://ann:hunter2@192.0.2.1/x", "FILE:///clips/a.mp4"])
def test_a_url_that_no_source_knows_is_told_with_everything_else(name: str, url: str) -> None:
    told = refused(**{name: url, "EDGED_FPS": "many"})
    assert told.startswith("2 settings are wrong:")
    assert f"{name}=" in told
    assert "there is no source for such a URL, only for rtsp://, " in told
    assert SECRET not in told
    assert ("a file has no scheme" in told) is url.startswith("FILE")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "9" * 400])
def test_no_number_is_none_or_more_than_can_be_reckoned_with(value: str) -> None:
    """What is waited for, or multiplied, ended in a traceback long after the start."""
    numbers = [
        f"EDGED_{name.upper()}"
        for name, field in declared.Settings.model_fields.items()
        if re.search(r"\b(int|float)\b", str(field.annotation)) and "tuple" not in str(field.annotation)
    ]
    assert len(numbers) > 25
    told = refused(**dict.fromkeys(numbers, value))
    assert [name for name in numbers if f"{name}=" not in told] == []
