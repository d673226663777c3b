"""Every family through the whole daemon: found, published, drawn."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest
from constant_model import write
from daemon import Daemon, edged
from rig import Subscriber, assert_contract
from usual import usual
from whole_run import play

from edged import registry

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from rig import Mosquitto

pytest_plugins = ("mqtt_fixtures",)

COCO = "coco_labels80.txt"
PHOTOS = {
    # Model, its labels, photo, and what is in it.
    "yolox": ("yolox_nano_416_dynamic_nchw", COCO, "000000000081.jpg", "airplane"),
    "nanodet": ("nanodet_m_320_float_nchw", COCO, "000000000034.jpg", "zebra"),
    "maker": ("modelmaker_320_uint8_raw_anchors", "", "000000000009.jpg", "basket"),
}


@pytest.mark.timeout(180)
def test_photos_become_lines_and_pictures(shared: Path, tmp_path: Path) -> None:
    """Nothing but the file of the model says what family it is of."""
    settings = {
        "EDGED_CAMERAS": ",".join(PHOTOS),
        "EDGED_TRACK": "false",
        "EDGED_JSONL": str(tmp_path / "found.jsonl"),
        "EDGED_OUTPUT": str(tmp_path / "out"),
        "EDGED_DISK_FREE_GB": "0",
    }
    for camera, (model, labels, photo, _) in PHOTOS.items():
        prefix = f"EDGED_{camera.upper()}"
        settings[f"{prefix}_SOURCE"] = str(shared / "images" / photo)
        settings[f"{prefix}_MODEL"] = str(shared / "models" / f"{model}.tflite")
        if labels:
            settings[f"{prefix}_LABELS"] = str(shared / "models" / labels)
    done = edged("run", settings=settings | {"EDGED_CAMERA": ""}, timeout=150)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text(encoding="utf-8").splitlines()]
    found = {line["camera"]: line["detections"] for line in lines}
    assert len(lines) == len(found) == len(PHOTOS)
    for camera, (*_, seen) in PHOTOS.items():
        assert seen in {detection["label"] for detection in found[camera]}
        assert all(0.4 <= detection["score"] <= 1 for detection in found[camera])
        (film,) = (tmp_path / "out" / camera).glob("*.mp4")
        assert len(play(film).times) == 1


POINTS = {"yolo-pose": 17, "movenet": 17, "movenet-multipose": 17}
OUTLINES = {"yolo-seg", "yolo-obb"}
GREY = 127


def test_a_camera_of_every_family(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Each has a model of its own: what it finds is published by the contract, written and drawn."""
    cameras = {f"c{number}": family for number, family in enumerate(registry.DECODERS)}
    frames = usual()
    picture = tmp_path / "grey.png"
    cv2.imwrite(str(picture), np.full((240, 320, 3), GREY, np.uint8))
    settings = {
        "EDGED_CAMERAS": ",".join(cameras),
        "EDGED_SOURCE": str(picture),
        "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}",
        "EDGED_TRACK": "false",
        "EDGED_OUTPUT": str(tmp_path / "out"),
        "EDGED_DISK_FREE_GB": "0",
    }
    for camera, family in cameras.items():
        frame = frames[family]
        path = write(
            tmp_path / f"{family}.tflite",
            [real[np.newaxis].astype(np.float32) for real in frame.outputs],
            shape=(1, frame.size, frame.size, 3),
            metadata=frame.metadata,
        )
        settings[f"EDGED_{camera.upper()}_MODEL"] = str(path)
    with Subscriber(mosquitto.port) as seen:
        with Daemon(tmp_path, settings, environ={"EDGED_CAMERA": ""}) as daemon:
            assert daemon.wait() == 0, daemon.told("camera_failed")
        for camera, family in cameras.items():
            check(family, json.loads(seen.wait_for(f"edged/lab1/{camera}/detections")))
            (film,) = (tmp_path / "out" / camera).glob("*.mp4")
            assert drawn(film), family
        assert assert_contract(seen.received) > len(cameras)


def check(family: str, message: dict[str, Any]) -> None:
    """A message has what the family gives, and where."""
    assert message["model"] == family
    assert message["detections"]
    for found in message["detections"]:
        x1, y1, x2, y2 = found["box"]
        assert 0 <= x1 < x2 <= 320
        assert 0 <= y1 < y2 <= 240
        assert len(found.get("keypoints", ())) == POINTS.get(family, 0)
        assert not found.get("outline") or family in OUTLINES
    assert (family in OUTLINES) == any(found.get("outline") for found in message["detections"])


def drawn(film: Path) -> bool:
    """Whether there is colour in the only picture of a film, which shows nothing but grey."""
    with av.open(str(film)) as container:
        (frame,) = container.decode(video=0)
    pixels = frame.to_ndarray(format="bgr24").astype(np.int16)
    return int(np.ptp(pixels, axis=2).max()) > GREY
