"""``edged run`` with every kind of wrong input: the right exit code, one paragraph that helps."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest
from daemon import EDGED, edged, environment

if TYPE_CHECKING:
    from collections.abc import Callable

SHORT = "synthetic:?width=320&height=240&count=40&fps=0&live=false"


@pytest.fixture
def settings(demo_model: Path, demo_clip: Path, tmp_path: Path) -> dict[str, str]:
    """Settings that work, with two outputs."""
    return {
        "EDGED_MODEL": str(demo_model),
        "EDGED_SOURCE": str(demo_clip),
        "EDGED_OUTPUT": str(tmp_path / "out.mp4"),
        "EDGED_JSONL": str(tmp_path / "lines.jsonl"),
    }


def run(settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return edged("run", *arguments, settings=settings)


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> str:
    """The message of a run that was refused: one paragraph with these words, the last thing that is said."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    before, _, message = done.stderr.rpartition("edged: ")
    assert message, done.stderr
    assert before == "" or before.endswith("\n")
    assert "\n\n" not in message
    assert message.endswith((".\n", "?\n", "!\n"))
    for word in words:
        assert word in message
    return message


def nothing_left(settings: dict[str, str]) -> None:
    for name in ("EDGED_OUTPUT", "EDGED_JSONL"):
        assert not Path(settings[name]).exists(), name


def ledger(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    account: dict[str, Any] = next(line for line in reversed(lines) if line["event"] == "ledger")
    assert account["in_flight"] == 0
    assert account["captured"] == account["inferred"] + account["still"] + sum(account["dropped"].values())
    return account


def frames(path: Path) -> int:
    """Frames that a player finds; a file that is not whole does not open or breaks off."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


# Models.


def head(share: float) -> Callable[[bytes], bytes]:
    return lambda whole: whole[: int(len(whole) * share)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty", lambda _: b""),
        ("tiny", lambda _: b"TFL3"),
        ("web page", lambda _: b"<!doctype html><html>not found</html>"),
        ("archive", lambda _: b"PK\x03\x04" + bytes(1000)),
        ("zeros", lambda _: bytes(100_000)),
        ("noise", lambda _: b"\x1c\0\0\0TFL3" + bytes(range(256)) * 400),
        ("a hundredth", head(0.01)),
        ("half", head(0.5)),
        ("all but a thousandth", head(0.999)),
    ],
)
def test_a_model_that_is_none_or_not_whole(
    settings: dict[str, str], demo_model: Path, tmp_path: Path, name: str, content: Callable[[bytes], bytes]
) -> None:
    broken = tmp_path / f"{name}.tflite"
    broken.write_bytes(content(demo_model.read_bytes()))
    refused(run(settings | {"EDGED_MODEL": str(broken)}), 78, str(broken))
    nothing_left(settings)


def test_a_model_that_is_missing_or_a_folder(settings: dict[str, str], tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.tflite")
    refused(run(settings | {"EDGED_MODEL": missing}), 78, missing, "does not exist")
    refused(run(settings | {"EDGED_MODEL": str(tmp_path)}), 78, str(tmp_path), "is a folder")
    nothing_left(settings)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("does_not_load", ("does_not_load.tflite",)),
        ("automl_traffic_lstm_3inputs", ("3 inputs",)),
        ("yolov8n_320_full_integer_quant_edgetpu", ("compiled for the Edge TPU", "EDGED_")),
    ],
)
def test_a_model_that_edged_cannot_use(
    settings: dict[str, str], shared: Path, name: str, words: tuple[str, ...]
) -> None:
    model = shared / "models" / f"{name}.tflite"
    refused(run(settings | {"EDGED_MODEL": str(model), "EDGED_DEVICE": "cpu"}), 78, *words)
    nothing_left(settings)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"one\ntwo\n", ("2 labels", "80")),
        (b"\n".join(b"label %d" % number for number in range(200)), ("200 labels", "80")),
        (b"", ("is empty",)),
        (b"\xff\xfe\x00", ("UTF-8",)),
    ],
)
def test_labels_that_do_not_fit(
    settings: dict[str, str], shared: Path, tmp_path: Path, content: bytes, words: tuple[str, ...]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_bytes(content)
    model = shared / "models" / "yolov5n_640_fp16.tflite"
    changes = {"EDGED_MODEL": str(model), "EDGED_LABELS": str(labels)}
    refused(run(settings | changes), 78, *words, "labels")
    nothing_left(settings)


def test_labels_that_are_missing_or_a_folder(settings: dict[str, str], tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.txt")
    refused(run(settings | {"EDGED_LABELS": missing}), 78, missing)
    refused(run(settings | {"EDGED_LABELS": str(tmp_path)}), 78, str(tmp_path), "folder")


def test_a_class_that_the_model_does_not_know(settings: dict[str, str]) -> None:
    refused(run(settings | {"EDGED_CLASSES": "face,unicorn"}), 78, "EDGED_CLASSES", "'unicorn'", "face")
    nothing_left(settings)


def test_a_runtime_that_is_not_installed(settings: dict[str, str]) -> None:
    from importlib.util import find_spec

    other = "tflite-runtime" if find_spec("ai_edge_litert") else "ai-edge-litert"
    if find_spec(other.replace("-", "_")):
        pytest.skip("both runtimes are installed")
    refused(run(settings | {"EDGED_RUNTIME": other}), 78, other, "pip install")
    nothing_left(settings)


# Clips.


@pytest.mark.parametrize(
    "content", [b"", b"hello\n" * 1000, bytes(100_000), b"\0\0\0\x20ftypisom" + bytes(5000)]
)
def test_a_clip_that_is_none(settings: dict[str, str], tmp_path: Path, content: bytes) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(content)
    refused(run(settings | {"EDGED_SOURCE": str(clip)}), 69, str(clip), "EDGED_SOURCE")
    nothing_left(settings)


def test_a_clip_that_is_missing(settings: dict[str, str], tmp_path: Path) -> None:
    clip = str(tmp_path / "missing.mp4")
    refused(run(settings | {"EDGED_SOURCE": clip}), 69, clip, "does not exist", "EDGED_SOURCE")
    nothing_left(settings)


def test_a_folder_without_anything_to_see(settings: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    refused(run(settings | {"EDGED_SOURCE": str(folder)}), 69, str(folder))
    nothing_left(settings)


def test_an_image_that_is_none(settings: dict[str, str], tmp_path: Path) -> None:
    image = tmp_path / "photo.jpg"
    image.write_bytes(b"\xff\xd8\xff\xe0 and no more")
    refused(run(settings | {"EDGED_SOURCE": str(image)}), 69, str(image), "EDGED_SOURCE")
    nothing_left(settings)


def test_a_film_without_pictures(settings: dict[str, str], tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame(format="s16", layout="mono", samples=8000)
        silence.planes[0].update(bytes(16000))
        silence.rate = 8000
        container.mux(stream.encode(silence))
    refused(run(settings | {"EDGED_SOURCE": str(sound)}), 69, str(sound), "no video")
    nothing_left(settings)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.999])
def test_a_clip_that_was_cut_gives_what_it_has_and_is_told(
    settings: dict[str, str], shared: Path, tmp_path: Path, share: float
) -> None:
    whole = shared / "clips" / "cars_640x360_msmpeg4v2.avi"
    clip = tmp_path / "cut.avi"
    clip.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    done = run(settings | {"EDGED_SOURCE": str(clip)})
    message = refused(done, 69, str(clip))
    count = ledger(done)["inferred"]
    assert 0 < count <= 374
    assert f"after {count} frames" in message
    assert frames(Path(settings["EDGED_OUTPUT"])) == count, "what there is, is whole"
    lines = Path(settings["EDGED_JSONL"]).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["frame_id"] for line in lines] == list(range(count))


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.95])
def test_an_mp4_that_was_cut_is_told(
    settings: dict[str, str], demo_clip: Path, tmp_path: Path, share: float
) -> None:
    clip = tmp_path / "cut.mp4"
    clip.write_bytes(demo_clip.read_bytes()[: int(demo_clip.stat().st_size * share)])
    done = run(settings | {"EDGED_SOURCE": str(clip)})
    refused(done, 69, str(clip))
    output = Path(settings["EDGED_OUTPUT"])
    assert output.exists() is Path(settings["EDGED_JSONL"]).exists()
    if output.exists():
        assert frames(output) == ledger(done)["inferred"] < 200


def test_a_clip_with_a_damaged_middle_still_accounts_for_every_frame(
    settings: dict[str, str], demo_clip: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "scratched.mp4"
    content = bytearray(demo_clip.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    clip.write_bytes(content)
    done = run(settings | {"EDGED_SOURCE": str(clip)})
    assert done.returncode in {0, 69}
    assert "Traceback" not in done.stderr
    assert frames(Path(settings["EDGED_OUTPUT"])) == ledger(done)["inferred"] > 50


# Settings.


def test_settings_that_are_wrong_are_all_told_in_one_paragraph(tmp_path: Path) -> None:
    file = tmp_path / "edged.env"
    file.write_text("EDGED_MODLE=x\nEDGED_WORKERS=many\nEDGED_LOOP\n", encoding="utf-8")
    message = refused(
        run({"EDGED_MQTT_URL": "mqtt://user:hunter2@"}, "--env-file", str(file)),
        78,
        str(file),
        "EDGED_MODLE='x'",
        "EDGED_MODEL?",
        "EDGED_WORKERS='many'",
        "line 3",
        "EDGED_SOURCE is not set",
        "EDGED_MQTT_URL=",
    )
    assert "hunter2" not in message
    assert message.startswith("6 settings are wrong")


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_an_env_file_that_cannot_be_read(tmp_path: Path, what: str) -> None:
    file = tmp_path if what == "folder" else tmp_path / "missing.env"
    refused(run({}, "--env-file", str(file)), 78, str(file), "edged env")


def test_a_malformed_synthetic_source(settings: dict[str, str]) -> None:
    changes = {"EDGED_SOURCE": "synthetic:?width=none"}
    refused(run(settings | changes), 78, "synthetic:?width=none", "Write synthetic:")
    nothing_left(settings)


# Outputs and broker.


def test_outputs_that_cannot_be_written(settings: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "a folder.mp4"
    folder.mkdir()
    for name, value in (
        ("EDGED_OUTPUT", str(tmp_path / "missing" / "out.mp4")),
        ("EDGED_OUTPUT", "/proc/out.mp4"),
        ("EDGED_JSONL", str(tmp_path / "missing" / "lines.jsonl")),
        ("EDGED_JSONL", str(tmp_path)),
        ("EDGED_JSONL", "/proc/lines.jsonl"),
    ):
        refused(run(settings | {name: value}), 73, value, name)
        assert [path for path in tmp_path.iterdir() if path != folder] == []


def test_a_disk_that_is_full_is_told_at_the_end_and_costs_only_what_should_have_gone_there(
    settings: dict[str, str],
) -> None:
    done = run(settings | {"EDGED_JSONL": "/dev/full", "EDGED_SOURCE": SHORT})
    refused(done, 73, "jsonl", "No space left on device")
    account = ledger(done)
    assert account["sinks"]["jsonl"] == {"sent": 0, "failed": 40}
    assert frames(Path(settings["EDGED_OUTPUT"])) == 40


def test_a_broker_that_is_away_stops_nobody_and_its_messages_are_counted(settings: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    changes = {"EDGED_MQTT_URL": f"mqtt://127.0.0.1:{port}", "EDGED_MQTT_QUEUE": "20"}
    done = run(settings | changes | {"EDGED_STOP_TIMEOUT": "2", "EDGED_SOURCE": SHORT})
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert ledger(done)["inferred"] == 40
    assert frames(Path(settings["EDGED_OUTPUT"])) == 40
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    away = [line for line in told if line["event"] == "mqtt_not_connected"]
    assert str(port) in away[0]["reason"]
    assert len(away) == 1, "it is told once"
    account = next(line for line in told if line["event"] == "mqtt_delivery")
    assert account["closes"]
    assert account["acknowledged"] == 0
    assert account["made"] >= 40
    assert sum(account["dropped"].values()) == account["made"]


def test_the_password_of_a_broker_is_in_no_log(settings: dict[str, str]) -> None:
    changes = {
        "EDGED_MQTT_URL": "mqtt://user:hunter2@127.0.0.1:1",
        "EDGED_LOG_LEVEL": "debug",
        "EDGED_STOP_TIMEOUT": "1",
        "EDGED_SOURCE": "synthetic:?count=20&fps=0&live=false",
    }
    done = run(settings | changes)
    assert done.returncode == 0
    assert "hunter2" not in done.stderr + done.stdout


# What a person sees.


def test_lines_go_to_standard_output_and_logs_do_not(settings: dict[str, str]) -> None:
    done = run(settings | {"EDGED_JSONL": "-", "EDGED_SOURCE": "synthetic:?count=20&fps=0&live=false"})
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame_id"] for line in lines] == list(range(20))


def test_a_reader_that_has_heard_enough_costs_no_trace(settings: dict[str, str]) -> None:
    command = subprocess.Popen(
        [*EDGED, "run"],
        env=environment(**settings | {"EDGED_JSONL": "-", "EDGED_SOURCE": SHORT}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stderr is not None
    assert json.loads(command.stdout.readline())["seq"] == 0
    command.stdout.close()
    errors = command.stderr.read()
    command.stderr.close()
    assert command.wait(60) == 73
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    assert "Broken pipe" in errors


def test_output_that_goes_nowhere_is_told() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*EDGED, "schema", "availability"],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 73
    assert done.stderr == "edged: standard output cannot be written: No space left on device.\n"


def test_a_list_may_be_read_in_part() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(EDGED)} schema | head -1; exit ${{PIPESTATUS[0]}}"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_without_any_standard_output_it_works_all_the_same(settings: dict[str, str]) -> None:
    short = settings | {"EDGED_SOURCE": "synthetic:?count=3&fps=0&live=false"}
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(EDGED)} run >&-"],
        env=environment(**short),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ledger(done)["inferred"] == 3


def on_terminal(settings: dict[str, str]) -> tuple[int, str]:
    """Exit code and what a terminal shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*EDGED, "run"], env=environment(TERM="xterm", **settings), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return process.wait(60), shown.decode()


def test_a_terminal_shows_a_bar_that_ends_full(settings: dict[str, str]) -> None:
    code, shown = on_terminal(settings)
    assert code == 0
    bars = re.findall(r"\[(#*) *\] +(\d+)% (\d+)/200 frames", shown)
    assert bars, shown
    assert bars[-1] == ("#" * 30, "100", "200")
    assert "running" in shown
    assert not any(line.startswith('{"') for line in shown.splitlines()), "a person reads no JSON"


def test_a_camera_has_no_bar(settings: dict[str, str]) -> None:
    code, shown = on_terminal(settings | {"EDGED_SOURCE": "synthetic:?count=30"})
    assert code == 0
    assert "frames\r" not in shown
    assert "[#" not in shown


def test_the_help_names_every_command() -> None:
    done = edged("--help")
    assert done.returncode == 0
    for command in ("run", "demo", "check", "bench", "devices", "env", "models", "schema"):
        assert re.search(rf"^ +{command} +\w", done.stdout, re.MULTILINE), command
        assert edged(command, "--help").returncode == 0


def test_an_unknown_command_or_option_is_refused() -> None:
    for arguments in ((), ("fly",), ("run", "--fast")):
        done = edged(*arguments)
        assert done.returncode == 2
        assert "usage: edged" in done.stderr


def test_it_says_its_version() -> None:
    from edged import __version__

    assert edged("--version").stdout == f"edged {__version__}\n"
    assert sys.version_info >= (3, 11)
