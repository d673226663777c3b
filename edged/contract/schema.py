"""The machine-readable contract: JSON Schema of every payload, and an AsyncAPI 3 document.

Both are generated from the records that build the messages (:mod:`edged.contract.payloads` and its
neighbours) and from the topics.
Objects are open: new fields may come without a new version, and a consumer must not reject them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from edged import __version__
from edged.contract import event_messages, payloads, states
from edged.contract.topics import Topics

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PARAMETERS = {
    "prefix": "first topic level, EDGED_MQTT_PREFIX",
    "node": "id of the daemon, EDGED_NODE",
    "camera": "id of the camera, EDGED_CAMERA",
    "label": "what is counted, as a topic level: lower case, blanks are underscores",
    "zone": "name of a zone, NAME of EDGED_ZONE_NAME in lower case",
    "line": "name of a line, NAME of EDGED_LINE_NAME in lower case",
    "direction": "in (to the right, seen along the line) or out",
    "name": "snapshot, pause, resume or reload; with a value: detection, recording, threshold or model",
}
_TOPICS = Topics("{prefix}", "{node}", "{camera}")


@dataclass(frozen=True, slots=True)
class _Channel:
    """One topic: what it carries and how it is published."""

    topic: str
    payload: Any
    """Annotation of the payload; None where it is not text."""
    summary: str
    qos: int = 1
    retain: bool = False
    content: str = "application/json"
    received: bool = False
    """Whether edged listens there rather than publishes."""


_State = partial(_Channel, retain=True)
"""What is so until something else is said."""
_Value = partial(_State, content="text/plain")
"""The same, told in a word or a number."""
_Picture = partial(_State, qos=0, content="image/jpeg", payload=None)

_CHANNELS = {
    "availability": _Value(
        _TOPICS.availability, payloads.Availability, "whether the daemon is there; the last will says offline"
    ),
    "state": _State(_TOPICS.state, states.StateMessage, "what the daemon is doing"),
    "camera_state": _State(
        _TOPICS.camera_state,
        states.CameraStateMessage,
        "what a camera is doing, where EDGED_CAMERAS names several",
    ),
    "status": _Value(_TOPICS.status, payloads.Availability, "whether the camera gives pictures"),
    "detections": _Channel(_TOPICS.detections, payloads.Detections, "what was found in one frame"),
    "timings": _Channel(_TOPICS.timings, payloads.Timings, "how the daemon fared over one interval", qos=0),
    "count": _Value(
        _TOPICS.count("{label}"),
        payloads.Count,
        "how many objects of a label are there (with tracks: confirmed ones); only when it changes",
    ),
    "events": _Channel(
        _TOPICS.events, event_messages.EventMessage, "what one object does, from coming to going"
    ),
    "best": _Picture(_TOPICS.best("{label}"), summary="best picture of the last object of a label"),
    "occupancy": _Value(_TOPICS.occupancy, payloads.Occupancy, "whether any confirmed object is there"),
    "last_seen": _Value(
        _TOPICS.last_seen("{label}"),
        event_messages.Moment,
        "when a confirmed object of a label was last there; once a minute while it is",
    ),
    "zone_count": _Value(
        _TOPICS.zone_count("{zone}", "{label}"),
        payloads.Count,
        "how many confirmed objects of a label stand in a zone; only when it changes",
    ),
    "zone_occupancy": _Value(
        _TOPICS.zone_occupancy("{zone}"),
        payloads.Occupancy,
        "whether any confirmed object stands in a zone",
    ),
    "line_total": _Value(
        _TOPICS.line_total("{line}", "{direction}", "{label}"),
        payloads.Count,
        "how many objects of a label have crossed a line; goes on where an earlier start has ended",
    ),
    "snapshot": _Picture(_TOPICS.snapshot, summary="annotated picture"),
    "command": _Channel(
        _TOPICS.command("{name}"),
        payloads.Command,
        "asks the daemon to do something; may be empty; must not be retained",
        received=True,
    ),
    "command_result": _Channel(_TOPICS.result("{name}"), payloads.CommandResult, "the answer to a command"),
    "camera_command": _Channel(
        _TOPICS.camera_command("{name}"),
        payloads.Command,
        "as command but for reload, to one camera, where EDGED_CAMERAS names several",
        received=True,
    ),
    "camera_command_result": _Channel(
        _TOPICS.camera_result("{name}"), payloads.CommandResult, "the answer to a command to one camera"
    ),
}


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of every payload that is text, by name of the channel."""
    return {
        name: {"$schema": _DIALECT, **TypeAdapter(channel.payload).json_schema()}
        for name, channel in _CHANNELS.items()
        if channel.payload is not None
    }


def document() -> dict[str, Any]:
    """The AsyncAPI document."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:edged",
        "info": {
            "title": "edged",
            "version": __version__,
            "description": f"Topics and payloads of edged, version {payloads.SCHEMA} of the payloads.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, channel) for name, channel in _CHANNELS.items()},
        "operations": {name: _operation(name, channel) for name, channel in _CHANNELS.items()},
        "components": {
            "messages": {name: _message(name, channel) for name, channel in _CHANNELS.items()},
            "schemas": _schemas(),
        },
    }


def _channel(name: str, channel: _Channel) -> dict[str, Any]:
    return {
        "address": channel.topic,
        "description": channel.summary,
        "parameters": {
            parameter: {"description": meaning}
            for parameter, meaning in _PARAMETERS.items()
            if f"{{{parameter}}}" in channel.topic
        },
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operation(name: str, channel: _Channel) -> dict[str, Any]:
    return {
        "action": "receive" if channel.received else "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.retain, "bindingVersion": "0.2.0"}},
    }


def _message(name: str, channel: _Channel) -> dict[str, Any]:
    message: dict[str, Any] = {"contentType": channel.content, "summary": channel.summary}
    if channel.payload is not None:
        message["payload"] = {"$ref": f"#/components/schemas/{name}"}
    return message


def _schemas() -> dict[str, Any]:
    """All schemas in one namespace, with the records that they share once."""
    shared: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, channel in _CHANNELS.items():
        if channel.payload is not None:
            schema = TypeAdapter(channel.payload).json_schema(ref_template="#/components/schemas/{model}")
            shared |= schema.pop("$defs", {})
            own[name] = schema
    return shared | own
