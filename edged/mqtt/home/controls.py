"""Entities that command a camera or the node, where EDGED_COMMANDS lets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.records import State

_PRESS = "{}"
"""What a button sends: a command without an id. Home Assistant's own word would be refused."""


def camera_controls(
    command: Callable[[str], str], state_topic: str, state: State
) -> dict[str, dict[str, Any]]:
    """Switches, threshold, model and a button, by name; those that the camera's settings allow.

    Args:
        command: where a command goes, by its name.
        state_topic: where what is set can be read.
        state: of the camera.
    """
    components = {
        "detection": _switch(
            "Detection", "mdi:eye", command("detection"), state_topic, "value_json.lifecycle != 'paused'"
        ),
        "threshold": {
            "platform": "number",
            "name": "Score threshold",
            "icon": "mdi:tune-vertical",
            "command_topic": command("threshold"),
            "state_topic": state_topic,
            "value_template": "{{ value_json.controls.threshold }}",
            "min": 0.01,
            "max": 1,
            "step": 0.01,
            "mode": "box",
            "entity_category": "config",
        },
        "take_snapshot": _button("Take snapshot", "mdi:camera", command("snapshot")),
    }
    controls = state.controls
    if controls.recording is not None:
        components["recording"] = _switch(
            "Recording", "mdi:record-rec", command("recording"), state_topic, "value_json.controls.recording"
        )
    if len(controls.models) > 1 and state.model in controls.models:
        components["choose_model"] = {
            "platform": "select",
            "name": "Model",
            "icon": "mdi:brain",
            "command_topic": command("model"),
            "state_topic": state_topic,
            "value_template": "{{ value_json.model }}",
            "options": list(controls.models),
            "entity_category": "config",
        }
    return components


def reload_button(command: Callable[[str], str]) -> dict[str, Any]:
    """Has the settings read again."""
    return _button("Reload settings", "mdi:reload", command("reload")) | {"entity_category": "config"}


def _button(name: str, icon: str, topic: str) -> dict[str, Any]:
    return {
        "platform": "button",
        "name": name,
        "icon": icon,
        "command_topic": topic,
        "payload_press": _PRESS,
    }


def _switch(name: str, icon: str, command: str, state_topic: str, condition: str) -> dict[str, Any]:
    return {
        "platform": "switch",
        "name": name,
        "icon": icon,
        "command_topic": command,
        "state_topic": state_topic,
        "value_template": f"{{{{ 'ON' if {condition} else 'OFF' }}}}",
    }
