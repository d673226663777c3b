"""A second model says more exactly what an object is: few looks, the best of them, at followed objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from edged.contract import event_messages, payloads
from edged.errors import ConfigError, EdgedError, OutputError
from edged.model import detector
from edged.model.finer import Finer
from edged.pipeline.follow import Follower
from edged.records import Box, Detection, Frame
from edged.scene import Scene, SceneRules
from edged.settings.declared import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Image
    from edged.scene import SceneView


def views(
    follower: Follower, finer: dict[str, Finer], image: Image, *, label: str, seconds: float
) -> list[SceneView]:
    """An object that stands in the middle of the picture, at 10 frames a second."""
    height, width = image.shape[:2]
    box = Box(width * 0.1, height * 0.1, width * 0.9, height * 0.9)
    found = Detection(0, label, 0.9, box)
    return [
        follower.look(Frame(number, image, 1e9 + number / 10, number / 10, number / 10), [found], finer)
        for number in range(round(10 * seconds))
    ]


def test_a_real_classifier_names_what_a_detector_found(shared: Path) -> None:
    """The finer label comes with the start, stays in detections and events, and costs five looks at most."""
    finer = Finer(shared / "models" / "mobilenet_v1_0.25_128_quant.tflite", runtime="auto")
    found = []
    for file in sorted((shared / "images").glob("*.jpg")):
        image = cv2.imread(str(file))
        assert image is not None
        follower = Follower(Scene(SceneRules()))
        seen = views(follower, {"thing": finer}, image.astype(np.uint8), label="thing", seconds=8)
        assert follower.looks == 5
        ends = follower.end("stop")
        named = seen[-1].detections[0]
        if not named.sub_label:
            assert ends[0].sub_label == ""
            continue
        found.append(named.sub_label)
        (start,) = [event for view in seen for event in view.events if event.kind == "start"]
        assert start.sub_label == ends[0].sub_label == named.sub_label
        assert named.sub_score >= 0.5
        message = event_messages.event(start, camera="front", boot_id="0" * 32)
        assert message["sub_label"] == named.sub_label
    assert len(found) >= 2, found
    finer.close()


def test_others_are_not_looked_at(shared: Path) -> None:
    """An object of another label costs no look, and its payloads have no field more."""
    finer = Finer(shared / "models" / "mobilenet_v1_0.25_128_quant.tflite", runtime="auto")
    follower = Follower(Scene(SceneRules()))
    image = np.zeros((120, 160, 3), np.uint8)
    seen = views(follower, {"bird": finer}, image, label="car", seconds=2)
    assert follower.looks == 0
    (event,) = [event for view in seen for event in view.events if event.kind == "start"]
    assert "sub_label" not in event_messages.event(event, camera="front", boot_id="0" * 32)
    assert seen[-1].detections[0].sub_label == ""
    finer.close()


class Broken(Finer):
    """A model whose weights are damaged."""

    def look(self, crop: Image) -> tuple[str, float] | None:
        raise OutputError(f"a score of {crop.size} is none")


def test_a_classifier_whose_output_is_none_costs_no_event(shared: Path) -> None:
    finer = Broken(shared / "models" / "mobilenet_v1_0.25_128_quant.tflite", runtime="auto")
    follower = Follower(Scene(SceneRules()))
    seen = views(follower, {"thing": finer}, np.zeros((120, 160, 3), np.uint8), label="thing", seconds=3)
    assert follower.looks > 0
    assert [event.kind for view in seen for event in view.events][:1] == ["start"]
    assert seen[-1].detections[0].sub_label == ""
    finer.close()


def test_a_detector_is_no_classifier(shared: Path) -> None:
    with pytest.raises(ConfigError, match="a model to detect, not to classify"):
        Finer(shared / "models" / "yolov8n_224_full_integer_quant.tflite", runtime="auto")


@pytest.mark.parametrize(
    ("label", "second", "more", "message"),
    [
        ("person", "away.tflite", {}, "away.tflite"),
        ("person", "does_not_load.tflite", {}, "does_not_load"),
        ("person", "mobilenet_v1_0.25_128_quant_edgetpu.tflite", {}, "compiled for the Edge TPU"),
        ("parcel", "mobilenet_v1_0.25_128_quant.tflite", {}, "names 'parcel', which the model cannot find"),
        ("person", "mobilenet_v1_0.25_128_quant.tflite", {"track": False}, "EDGED_TRACK is off"),
    ],
)
def test_what_cannot_say_more_is_refused_at_the_start_with_what_to_do(
    label: str, second: str, more: dict[str, Any], message: str, shared: Path
) -> None:
    """The model is missing, damaged or for another chip; nothing has its label, or nothing is followed."""
    settings = Settings(
        model=shared / "models" / "yolov8n_224_full_integer_quant.tflite",
        source="-",
        classify=((label, shared / "models" / second),),
        **more,
    )
    with pytest.raises(EdgedError, match=message) as caught:
        detector.load(settings)
    assert caught.value.hint


def test_the_version_of_payloads_stays() -> None:
    """New fields are no new version."""
    assert payloads.SCHEMA == 1
