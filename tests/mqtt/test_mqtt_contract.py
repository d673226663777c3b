"""The machine-readable contract says what is really published."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import rig
from jsonschema import Draft202012Validator, ValidationError

from edged.contract import payloads, schema
from edged.metrics import Delivery
from edged.records import Keypoint

DELIVERY = Delivery(10, 0, 5, 1, 2, 1, {"queue_full": 1})


def detections() -> dict[str, Any]:
    message = payloads.detections(rig.result(3, rig.PERSON), camera="front", boot_id="0" * 32, seq=7, now=1e9)
    return dict(json.loads(payloads.encode(message)))


def test_every_schema_is_a_json_schema() -> None:
    schemas = schema.schemas()
    assert schemas.keys() == {
        "availability",
        "state",
        "status",
        "detections",
        "events",
        "last_seen",
        "occupancy",
        "zone_count",
        "zone_occupancy",
        "line_total",
        "timings",
        "count",
        "command",
        "command_result",
        "camera_state",
        "camera_command",
        "camera_command_result",
    }
    for found in schemas.values():
        Draft202012Validator.check_schema(found)


def test_a_real_message_is_valid() -> None:
    rig.validator("detections").validate(detections())


def test_what_only_some_models_tell_is_there_only_with_them() -> None:
    """Points and outline are fields of their own; without them an object has the fields it always had."""
    plain = {"label", "class_id", "score", "box", "track"}
    assert detections()["detections"][0].keys() == plain
    shaped = rig.PERSON._replace(
        keypoints=(Keypoint(1.234, -2.0, 0.98765),),
        outline=((1.0, 2.0), (3.0, 4.0), (1.0, 4.0)),
    )
    message = payloads.detections(rig.result(3, shaped), camera="front", boot_id="0" * 32, seq=7, now=1e9)
    rig.validator("detections").validate(message)
    (item,) = json.loads(payloads.encode(message))["detections"]
    assert item.keys() == plain | {"keypoints", "outline"}
    assert item["keypoints"] == [[1.23, -2.0, 0.9877]]
    assert item["outline"] == [[1.0, 2.0], [3.0, 4.0], [1.0, 4.0]]


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"boot_id": "x"},
        {"seq": -1},
        {"seq": "7"},
        {"image": {"w": 0, "h": 1}},
        {"detections": [{"label": "person"}]},
        {"timings_ms": {"predict": -1}},
        {"ts_capture": None},
    ],
)
def test_a_wrong_message_is_not(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(schema.schemas()["detections"]).validate(detections() | change)


def test_a_new_field_does_not_break_consumers() -> None:
    Draft202012Validator(schema.schemas()["detections"]).validate(detections() | {"tracks": []})


def test_numbers_that_json_cannot_say_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        payloads.encode({"score": float("nan")})


def test_payloads_are_compact() -> None:
    text = payloads.encode(detections()).decode()
    assert not re.search(r"[:,] ", text)


def test_the_asyncapi_document_holds_together() -> None:
    """Every reference leads somewhere, every parameter is described, every topic is one of ours."""
    document = json.loads(json.dumps(schema.document()))
    assert document["asyncapi"] == "3.0.0"

    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [found for value in part.values() for found in references(value)]
        if isinstance(part, list):
            return [found for value in part for found in references(value)]
        return []

    for reference in set(references(document)):
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert "{prefix}/{node}/{camera}/detections" in addresses
    for name, channel in document["channels"].items():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == channel["parameters"].keys()
        operation = document["operations"][name]
        assert operation["action"] == ("receive" if name in {"command", "camera_command"} else "send")
    schemas = document["components"]["schemas"]
    Draft202012Validator(
        {"$ref": "#/components/schemas/detections", "components": {"schemas": schemas}}
    ).validate(detections())


def test_the_bindings_are_those_of_the_contract() -> None:
    operations = schema.document()["operations"]
    bindings = {
        name: (operation["bindings"]["mqtt"]["qos"], operation["bindings"]["mqtt"]["retain"])
        for name, operation in operations.items()
    }
    assert bindings == {
        "availability": (1, True),
        "state": (1, True),
        "status": (1, True),
        "detections": (1, False),
        "timings": (0, False),
        "count": (1, True),
        "snapshot": (0, True),
        "command": (1, False),
        "command_result": (1, False),
        "events": (1, False),
        "best": (0, True),
        "last_seen": (1, True),
        "occupancy": (1, True),
        "zone_count": (1, True),
        "zone_occupancy": (1, True),
        "line_total": (1, True),
        "camera_state": (1, True),
        "camera_command": (1, False),
        "camera_command_result": (1, False),
    }


def test_an_account_says_whether_it_closes() -> None:
    assert DELIVERY.closes
    assert DELIVERY.lost == 1
    assert not Delivery(10, 0, 5, 1, 2, 1, {}).closes
