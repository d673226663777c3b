"""Checks a discovery message and the messages it points to with Home Assistant's own code.

Not a test by itself: Home Assistant is large and wants its own Python. Give it one::

    python3.14 -m venv ha && ha/bin/pip install homeassistant paho-mqtt
    ha/bin/python tests/mqtt/home_assistant.py messages.json

where ``messages.json`` maps topics to payloads, as ``EDGED_TESTS_DUMP=messages.json pytest
tests/mqtt/home/test_mqtt_announcement.py`` leaves it. With ``--table`` it prints which options its schemas
know: ``home_assistant.json``, against which the tests check without it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

PLATFORMS = ("sensor", "binary_sensor", "image", "switch", "button", "number", "select", "event", "update")


def part(name: str) -> Any:
    """A module of Home Assistant, which is not there where this file is only checked."""
    return import_module(f"homeassistant.{name}")


def schema_of(platform: str) -> Any:
    """What Home Assistant takes for one kind of entity."""
    return part(f"components.mqtt.{platform}").DISCOVERY_SCHEMA


def table() -> dict[str, Any]:
    """The options that the schemas know."""
    schemas = part("components.mqtt.schemas")
    sensor = part("components.sensor")
    units = part("components.sensor.const").DEVICE_CLASS_UNITS
    binary = part("components.binary_sensor").BinarySensorDeviceClass
    return {
        "version": part("const").__version__,
        "root": keys(schemas.DEVICE_DISCOVERY_SCHEMA),
        "device": keys(schemas.MQTT_ENTITY_DEVICE_INFO_SCHEMA),
        "origin": keys(schemas.MQTT_ORIGIN_INFO_SCHEMA),
        "platforms": {platform: keys(schema_of(platform)) for platform in PLATFORMS},
        "binary_sensor_classes": sorted(map(str, binary)),
        "sensor_units": {str(one): sorted(map(str, units.get(one, []))) for one in sensor.SensorDeviceClass},
        "state_classes": sorted(map(str, sensor.SensorStateClass)),
    }


def keys(schema: Any) -> list[str]:
    """The options of a schema, whatever checks stand around it."""
    while not isinstance(getattr(schema, "schema", None), dict):
        schema = next(
            inner for inner in schema.validators if hasattr(inner, "schema") or hasattr(inner, "validators")
        )
    return sorted(map(str, schema.schema))


async def rendered(hass: Any, template: Any, payload: str) -> str:
    """A message as Home Assistant reads it."""
    if template is not None:
        template.hass = hass
    value = part("components.mqtt.models").MqttValueTemplate(template)
    return str(value.async_render_with_possible_json_value(payload))


def look(platform: str, valid: dict[str, Any], value: str) -> None:
    """Whether an entity can show a value."""
    if platform == "sensor" and valid.get("device_class") == "timestamp":
        assert part("util.dt").parse_datetime(value) is not None, value
    elif platform == "number" or (platform == "sensor" and "state_class" in valid):
        float(value)
    elif "options" in valid:
        assert value in valid["options"], value
    elif platform in {"binary_sensor", "switch"}:
        assert value in {valid["payload_on"], valid["payload_off"]}, value
    elif platform == "event" and value:
        assert json.loads(value)["event_type"] in valid["event_types"]


async def check(messages: dict[str, str]) -> list[str]:
    """Every component with its schema, every template with the newest message of its topic."""
    discovery = part("components.mqtt.discovery")
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        hass = part("core").HomeAssistant(folder)
        topic = next(name for name in messages if name.endswith("/config"))
        device = discovery.MQTTDiscoveryPayload(json.loads(messages[topic]))
        part("components.mqtt.schemas").DEVICE_DISCOVERY_SCHEMA(device)
        lines.append(f"{topic}: valid, {len(device['components'])} components")
        for name, component in device["components"].items():
            platform = component.pop("platform")
            config = discovery.MQTTDiscoveryPayload(component)
            config["device"], config["origin"] = device["device"], device["origin"]
            discovery._merge_common_device_options(config, device)  # noqa: SLF001  # it has no public door
            config["platform"] = "mqtt"
            valid = schema_of(platform)(dict(config))
            for available in valid["availability"]:
                state = await rendered(hass, available.get("value_template"), messages[available["topic"]])
                assert state in {available["payload_available"], available["payload_not_available"]}, state
            place = valid.get("state_topic") or valid.get("image_topic") or valid["command_topic"]
            value = await rendered(hass, valid.get("value_template"), messages.get(place, ""))
            if place in messages:
                look(platform, valid, value)
            lines.append(f"{name}: {platform}, valid; {place} -> {str(value)[:20]!r}")
        await hass.async_stop(force=True)
    return lines


if __name__ == "__main__":
    if sys.argv[1] == "--table":
        print(json.dumps(table(), indent=1, sort_keys=True))
    else:
        print("\n".join(asyncio.run(check(json.loads(Path(sys.argv[1]).read_text())))))
