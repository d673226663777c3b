"""Entities that tell how a camera and the machine are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from edged.contract.payloads import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edged.contract.topics import NodeTopics

_HOST_SENSORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cpu_temperature_c": (
        "CPU temperature",
        "{value}",
        {"device_class": "temperature", "unit_of_measurement": "°C", "suggested_display_precision": 1},
    ),
    "memory_used_percent": (
        "Memory used",
        "{value} | round(0) | int",
        {"icon": "mdi:memory", "unit_of_measurement": "%", "suggested_display_precision": 0},
    ),
    "disk_free_mb": (
        "Disk free",
        "({value} / 1000) | round(1)",
        {"device_class": "data_size", "unit_of_measurement": "GB", "suggested_display_precision": 1},
    ),
}
"""By sensor: what it is called, the template of its value, how it looks."""
_HOST_PROBLEMS = {"throttled": "Throttled", "undervoltage": "Undervoltage"}
_STAGES = {"predict": "Inference p95", "capture_to_ack": "Capture to broker p95"}
_DIAGNOSTIC = {"entity_category": "diagnostic"}


def camera_health(state_topic: str) -> dict[str, dict[str, Any]]:
    """What a camera does, with what, and what is wrong."""
    return {
        "lifecycle": _text("State", "mdi:state-machine", state_topic, "value_json.lifecycle")
        | {"device_class": "enum", "options": list(get_args(Lifecycle))},
        "problem": problem(state_topic),
        "model": _text("Model in use", "mdi:brain", state_topic, "value_json.model"),
        "runs_on": _text("Runs on", "mdi:chip", state_topic, "value_json.device or none"),
    }


def problem(state_topic: str) -> dict[str, Any]:
    """Whether anything is wrong; what, and what to do, stands in the attributes."""
    attributes = "{'degraded': value_json.degraded, 'hint': value_json.degraded | join(' ')}"
    return {
        **binary("Problem", "problem", state_topic),
        "value_template": "{{ 'ON' if value_json.degraded else 'OFF' }}",
        "json_attributes_topic": state_topic,
        # When a camera goes, its state is cleared.
        "json_attributes_template": f"{{{{ ({attributes} if value else {{}}) | tojson }}}}",
    }


def node_health(topics: NodeTopics, timings: str, *, updates: bool) -> dict[str, dict[str, Any]]:
    """Which version runs, since when, when it was last heard; with ``updates`` if there is a newer one."""
    newer = {"update": update(topics.state)} if updates else {}
    return newer | {
        "version": _text("Version", "mdi:tag", topics.state, "value_json.version"),
        "last_start": _text("Last start", "mdi:restart", topics.state, "value_json.started | as_datetime")
        | {"device_class": "timestamp"},
        "last_heard": _text("Last heard", "mdi:ear-hearing", timings, "value_json.ts | as_datetime")
        | {"device_class": "timestamp", "enabled_by_default": False},
    }


def update(state_topic: str) -> dict[str, Any]:
    """Whether there is a newer version; it is not known before somebody has said which is the newest."""
    newest = "{% set newest = value_json.newest | default({}) %}"
    release = "{'latest_version': newest.version} if newest.get('version') else {}"
    notes = "{'release_url': newest.url} if newest.get('url') else {}"
    told = f"dict({{'installed_version': value_json.version}}, **dict({release}, **({notes})))"
    return {
        "platform": "update",
        "name": "Update",
        "title": "edged",
        "state_topic": state_topic,
        "value_template": f"{newest}{{{{ {told} | tojson }}}}",
        **_DIAGNOSTIC,
    }


def figures(timings: str, expire_after_s: int) -> dict[str, dict[str, Any]]:
    """How fast a camera's frames are worked on."""
    rate = {"unit_of_measurement": "fps", "icon": "mdi:speedometer", "suggested_display_precision": 1}
    delay = {
        "device_class": "duration",
        "unit_of_measurement": "ms",
        "suggested_display_precision": 1,
        "enabled_by_default": False,
    }
    found = {
        "fps": _figure(
            "Frames per second",
            "value_json.fps",
            "value_json.fps | round(0 if value_json.fps >= 5 else 1)",
            rate,
        )
    }
    for stage, name in _STAGES.items():
        guard = f"value_json.stages.{stage}"
        found[f"{stage}_p95"] = _figure(name, guard, f"{guard}.p95_ms", delay)
    return {
        name: {**one, "state_topic": timings, "expire_after": expire_after_s} for name, one in found.items()
    }


def host_health(host: frozenset[str], timings: str, expire_after_s: int) -> dict[str, dict[str, Any]]:
    """Health of the machine, as far as it has the sensors."""
    found: dict[str, dict[str, Any]] = {}
    for sensor, (name, value, options) in _HOST_SENSORS.items():
        path = f"value_json.host.{sensor}"
        found[sensor] = _figure(name, path, value.format(value=path), options)
    for sensor, name in _HOST_PROBLEMS.items():
        value = f"value_json.host.{sensor} | default(false)"
        found[sensor] = {
            **binary(name, "problem", timings),
            "value_template": f"{{{{ 'ON' if {value} else 'OFF' }}}}",
        }
    return {
        name: {**one, "state_topic": timings, "expire_after": expire_after_s}
        for name, one in found.items()
        if name in host
    }


def host_sensors(names: Iterable[str]) -> frozenset[str]:
    """Which of these components, given by name, are sensors of the machine."""
    return frozenset(names) & (_HOST_SENSORS.keys() | _HOST_PROBLEMS.keys())


def binary(name: str, device_class: str, topic: str) -> dict[str, Any]:
    """An entity that is on or off, for whoever looks after the machine."""
    return {
        "platform": "binary_sensor",
        "name": name,
        "device_class": device_class,
        "state_topic": topic,
        **_DIAGNOSTIC,
    }


def _text(name: str, icon: str, topic: str, value: str) -> dict[str, Any]:
    return {
        "platform": "sensor",
        "name": name,
        "icon": icon,
        "state_topic": topic,
        "value_template": f"{{{{ {value} }}}}",
        **_DIAGNOSTIC,
    }


def _figure(name: str, guard: str, value: str, options: dict[str, Any]) -> dict[str, Any]:
    """A periodic number of the timings message; unknown where the message has no ``guard``."""
    return {
        "platform": "sensor",
        "name": name,
        "value_template": f"{{{{ {value} if {guard} is defined else none }}}}",
        "state_class": "measurement",
        **_DIAGNOSTIC,
        **options,
    }
