"""Every real clip through real models: each frame is in the account, the video and the messages, in order."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest
from daemon import ROOT
from rig import Mosquitto, Subscriber
from whole_run import check_lines, check_messages, check_video, packets, play, run

pytest_plugins = ("mqtt_fixtures",)

FOLDER = Path(os.environ.get("EDGED_SHARED", ROOT.parent / "shared")) / "clips"
CLIPS = sorted(path.name for path in FOLDER.glob("*")) if FOLDER.is_dir() else []
SHORTEST = "pedestrians_626x360_h264.mp4"
YOLO = "yolov8n_224_full_integer_quant"
SSD = "coco_ssd_mobilenet_v1_1.0_quant_300"
SEEN = {
    "pedestrians_626x360_h264.mp4": "person",
    "people_walking_720p30_h264.mp4": "person",
    "traffic_jam_1080p30_vp9.mp4": "car",
    "vtest_pets2009_480x360_10fps_79s.mp4": "person",
}
"""What anybody sees in most pictures of them; the YOLO must, too."""

OTHER = find_spec("ai_edge_litert") is None
"""With tflite-runtime, which takes up to ten times as long for quantised models, the shortest clip has to do:
what is special about a clip is for source, video and messages, which know no runtime, and what models find is
held against references elsewhere, with both."""
# A model sees pixels of its own size, whatever the clip: each clip has a small one, and the shortest two.
RUNS = [(YOLO, clip) for clip in CLIPS if not OTHER or clip == SHORTEST]
RUNS += [(SSD, clip) for clip in CLIPS if clip == SHORTEST]

source = cache(play)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("model", "clip"), RUNS)
def test_every_frame_is_in_the_account_the_video_and_the_messages(
    shared: Path, tmp_path: Path, mosquitto: Mosquitto, clip: str, model: str
) -> None:
    if which("ffprobe") is None:
        pytest.skip("ffmpeg is not installed (apt install ffmpeg)")
    path = shared / "clips" / clip
    film = source(path)
    count = len(film.times)
    assert count == packets(path)

    settings = {"EDGED_MODEL": str(shared / "models" / f"{model}.tflite")}
    if model == SSD:
        settings["EDGED_LABELS"] = str(shared / "models" / "ssd_coco_labels90.txt")
    with Subscriber(mosquitto.port) as subscriber:
        ledger = run(tmp_path, path, settings, mosquitto.port, limit_s=500)
        assert (ledger["captured"], ledger["inferred"], ledger["dropped"]) == (count, count, {})
        messages = check_messages(subscriber, count, model)
    assert {(message["image"]["w"], message["image"]["h"]) for message in messages} == {
        (film.width, film.height)
    }
    check_video(tmp_path / "out.mp4", film)
    check_lines(tmp_path, messages)
    labels = [found["label"] for message in messages for found in message["detections"]]
    assert labels
    if model == YOLO and clip in SEEN:
        assert labels.count(SEEN[clip]) > count / 4
