"""Commands with odd input: an error names thing and value, and says what to do; there is no traceback."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from daemon import EDGED, edged, environment
from source_clips import make

from edged.cli import main
from edged.errors import EdgedError
from edged.settings import loading

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
@pytest.mark.parametrize("command", [("env",), ("schema",), ("models", "list")])
def test_a_full_disk_behind_standard_output_is_told(command: tuple[str, ...]) -> None:
    """However much is printed: more than fits into a buffer, or less."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*EDGED, *command], env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 73
    assert done.stderr == "edged: standard output cannot be written: No space left on device.\n"


def test_who_has_heard_enough_ends_nothing_badly() -> None:
    command = f"set -o pipefail; {' '.join(EDGED)} schema | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{", "")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("render", "."), 78, "'.' is no segment"),
        (("env", "--cameras", ",,"), 78, "EDGED_CAMERAS=',,' names no camera"),
        (("env", "--cameras", ""), 78, "EDGED_CAMERAS='' names no camera"),
        (("fleet", "mqtts://h", "--key", "k.pem"), 78, "--cert and --key belong together"),
        (("fleet", "mqtts://h", "--cert", "c.pem"), 78, "--cert and --key belong together"),
    ],
)
def test_what_is_wrong_is_named(
    arguments: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(arguments)) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [("fleet", "mqtt://h", "--prefix", "a/#"), ("forget", "--node", "+"), ("forget", "--ha-prefix", "a b")],
)
def test_a_name_that_no_topic_can_have_is_refused(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """A pattern would be asked for, or cleared."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 2
    assert f"{arguments[-1]!r}: it is a part of topics" in capsys.readouterr().err


WHOLE = {"label": "cat", "class_id": 3, "score": 0.8, "box": [1, 2, 30, 40]}
SIZE = {"w": 64, "h": 48}


@pytest.mark.parametrize(
    "line",
    [
        {"at": 0},
        {"at": 0, "image": {"w": 0, "h": 48}, "detections": [WHOLE]},
        {"at": 0, "image": SIZE, "detections": [{}]},
        {"at": 0, "image": SIZE, "detections": [WHOLE | {"box": [1, 2, 3]}]},
        {"at": 0, "image": SIZE, "detections": [WHOLE | {"box": [1, 2, 3, 1e300]}]},
        {"at": 0, "image": SIZE, "detections": [WHOLE | {"box": ["1", 2, 3, 4]}]},
        {"at": 0, "image": SIZE, "detections": [WHOLE | {"outline": [[1, float("nan")]]}]},
        {"at": 0, "image": [], "detections": 5},
        [1],
        {"at": []},
    ],
)
def test_lines_that_are_no_detections_are_told(
    tmp_path: Path, line: object, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path / "clip.mp4", frames=2, size=(64, 48))
    path.with_suffix(".jsonl").write_text(json.dumps(line) + "\n")
    assert main(["render", str(path)]) in {69, 78}
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "clip.jsonl'" in said


def written(path: Path, content: str) -> Path:
    path.write_bytes(content.encode())
    return path


BOTH = "EDGED_SOURCE=a.mp4\nEDGED_MODEL=m.tflite\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("=", " = "),
        lambda text: "export " + text,
        lambda text: text.replace("a.mp4", "'a.mp4'").replace("m.tflite", '"m.tflite"'),
    ],
)
def test_an_env_file_as_other_editors_write_it_is_read(tmp_path: Path, change: Callable[[str], str]) -> None:
    settings = loading.load(written(tmp_path / "edged.env", change(BOTH)), {})
    assert (settings.source, str(settings.model)) == ("a.mp4", "m.tflite")


@pytest.mark.parametrize("several", ["", "EDGED_CAMERAS=front\n"])
def test_a_file_of_megabytes_that_is_no_env_file_is_refused_soon(tmp_path: Path, several: str) -> None:
    """For every wrong name a right one was sought: minutes."""
    lines = "".join(f"EDGED_X{number}=1\n" for number in range(20_000))
    began = time.monotonic()
    with pytest.raises(EdgedError) as refused:
        loading.load_all(written(tmp_path / "big.env", several + BOTH + lines), {})
    assert time.monotonic() - began < 60
    told = str(refused.value).splitlines()
    assert len(told) < 600
    assert "20000 settings are wrong" in told[0]
    assert told[-1] == "  and 19500 more."


def test_the_home_folder_is_found_in_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    environ = {"EDGED_SOURCE": "~/a.mp4", "EDGED_MODEL": "~/m.tflite", "EDGED_CLASSIFY": "cat:~/c.tflite"}
    settings = loading.load(None, environ | {"EDGED_MQTT_CA": "~/ca.pem"})
    assert settings.source == "~/a.mp4", "as it is written"
    found = [settings.model, settings.mqtt_ca, settings.classify[0][1]]
    assert found == [tmp_path / "m.tflite", tmp_path / "ca.pem", tmp_path / "c.tflite"]


def test_a_home_folder_that_there_is_not_is_told_of_every_path() -> None:
    names = ("SOURCE", "MODEL", "OUTPUT", "SPOOL", "JSONL", "EVENTS_JSONL", "MQTT_CA", "LABELS")
    environ = {f"EDGED_{name}": f"~nobody-here/{name}" for name in names}
    done = edged("check", settings=environ)
    assert done.returncode == 78
    assert "Traceback" not in done.stderr
    for name in names:
        assert f"EDGED_{name}='~nobody-here/{name}': there is no home folder of nobody-here" in done.stderr


SHORT = {"EDGED_SOURCE": "synthetic:?width=64&height=64&count=2&fps=0&live=false"}


@pytest.mark.parametrize(
    ("closed", "code", "words"),
    [("2>&-", 0, ""), (">&-", 73, "the output '-' cannot be written: standard output is closed")],
)
def test_a_run_whose_output_is_closed_ends_as_it_says(
    demo_model: Path, closed: str, code: int, words: str
) -> None:
    """What is opened first had the number of the closed one, and got what libraries write to it."""
    settings = SHORT | {"EDGED_MODEL": str(demo_model), "EDGED_JSONL": "-"}
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(EDGED)} run {closed}"],
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == (0 if code else 2)
