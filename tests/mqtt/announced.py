"""What Home Assistant is told, and what it makes of a template."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import rig

from edged.pipeline.follow import Follower
from edged.records import Box, Detection, Frame, Result
from edged.scene import Scene, SceneRules
from edged.settings.areas import lines as lines_of
from edged.settings.areas import zones as zones_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig import Mosquitto, Subscriber

    from edged.sinks.mqtt import MqttSink

ZONES: Any = zones_of({"porch": "0.5,0 1,0 1,1 0.5,1"})
LINES: Any = lines_of({"gate": "0.5,0 0.5,1"})
CONFIG = "homeassistant/device/edged_lab1/config"
KNOWN = json.loads(Path(__file__).with_name("home_assistant.json").read_text())
"""What Home Assistant's schemas know, printed by home_assistant.py."""


def open_sink(broker: Mosquitto, boot_id: str, **options: Any) -> MqttSink:
    """One that announces itself."""
    return rig.open_sink(broker, boot_id, **{"snapshot_interval_s": 0.001, "discovery": True, **options})


def config(subscriber: Subscriber) -> dict[str, Any]:
    """The newest announcement."""
    content: dict[str, Any] = json.loads(subscriber.wait_for(CONFIG))
    return content


def idle(sink: MqttSink) -> bool:
    return sink.delivery().queued + sink.delivery().in_flight == 0


def platforms(content: dict[str, Any]) -> dict[str, str]:
    return {name: component["platform"] for name, component in content["components"].items()}


def rendered(template: str, payload: bytes) -> str:
    """What Home Assistant's template gives of a message."""
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined)  # noqa: S701  # no HTML
    environment.filters["as_datetime"] = lambda ts: datetime.fromtimestamp(ts, UTC)
    environment.globals["now"] = lambda: datetime.now(UTC)
    text = payload.decode()
    parsed = json.loads(text) if text.startswith("{") else None
    return environment.from_string(template).render(value=text, value_json=parsed)


def available(place: dict[str, str], payload: bytes) -> bool:
    """What Home Assistant makes of one of the topics that say whether an entity is available."""
    word = rendered(place.get("value_template", "{{ value }}"), payload)
    assert word in {"online", "offline"}
    return word == "online"


def walk() -> Iterator[Result]:
    """A cat sits there, and somebody walks through the picture from left to right."""
    image = np.zeros((480, 640, 3), np.uint8)
    scene = Scene(SceneRules(zones=ZONES, lines=LINES), new_id=iter("ab").__next__)
    follower, now = Follower(scene), time.time() - 12
    for number in range(120):
        frame = Frame(number, image, now + number / 10, number / 10, number / 10)
        x = 60.0 + 6 * number
        found = [Detection(16, "tabby cat", 0.8, Box(20, 20, 60, 60))]
        found += [Detection(0, "person", 0.9, Box(x - 20, 200, x + 20, 300))] if x < 600 else []
        view = follower.look(frame, found)
        yield Result(
            frame, "yolov8n", view.detections, {}, image.copy, waits=True, events=view.events,
            presence=view.presence,
        )  # fmt: skip
