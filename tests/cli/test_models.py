"""``edged models`` lists, pulls and looks into models."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from typing import TYPE_CHECKING

import cv2
import pytest

from edged import registry
from edged.cli import main
from edged.engines.coral import hardware
from edged.model import catalog

if TYPE_CHECKING:
    from pathlib import Path


def rows(output: str) -> dict[str, list[str]]:
    """The report of ``inspect``: values by name."""
    report, _, _ = output.partition("\n\n")
    found: dict[str, list[str]] = {}
    for line in report.splitlines():
        name, value = line[:22].strip(), line[23:]
        found.setdefault(name, []).append(value)
    return found


def test_list_shows_every_model_with_its_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    table, _, notes = capsys.readouterr().out.partition("\n\n")
    known = catalog.ordered(catalog.load().entries, edgetpu=bool(hardware.find()))
    lines = table.splitlines()
    assert len(lines) == 1 + len(known)
    for line, entry in zip(lines[1:], known, strict=True):
        assert line.startswith(entry.name)
        assert entry.model.licence in line
        assert ("Edge TPU" in line) == (entry.cpu_twin is not None)
    assert "AGPL-3.0" in notes
    assert max(map(len, notes.splitlines())) <= 100


def test_pull_prints_the_settings_and_nothing_else_on_standard_output(
    demo_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in ("pulled", "already there"):
        assert main(["models", "pull", "blazeface-full-range", "--to", str(tmp_path)]) == 0
        output, told = capsys.readouterr()
        assert output == f"EDGED_MODEL={tmp_path / demo_model.name}\n"
        assert told.startswith(word)
    assert (tmp_path / demo_model.name).read_bytes() == demo_model.read_bytes()


def test_pull_goes_to_where_one_is(
    demo_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models", "pull", "blazeface-full-range"]) == 0
    assert capsys.readouterr().out == f"EDGED_MODEL={tmp_path / demo_model.name}\n"


def test_pull_of_an_unknown_name_says_where_the_names_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "yolov8n"]) == 78
    output, told = capsys.readouterr()
    assert output == ""
    assert "'yolov8n'" in told
    assert "edged models list" in told


def test_inspect_of_the_demo_model(demo_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "inspect", str(demo_model)]) == 0
    output = capsys.readouterr().out
    shown = rows(output)
    expected = {
        "file": [f"{demo_model} (680736 bytes)"],
        "runs on": ["CPU"],
        "input": ["float32[1, 192, 192, 3] input_1"],
        "output": ["float32[1, 2304, 16] Identity", "float32[1, 2304, 1] Identity_1"],
        "task": ["detect"],
        "family": ["blazeface"],
        "labels": ["1 from the decoder: face"],
    }
    assert {name: shown[name] for name in expected} == expected
    others = [family for family in registry.DECODERS if family != "blazeface"]
    assert shown.keys() - expected.keys() == {f"not {family}" for family in others}
    assert all(shown[f"not {family}"][0].startswith("it") for family in others)
    assert output.endswith(f"\n\nEDGED_MODEL={demo_model}\n")


def test_inspect_shows_quantisation_metadata_and_labels_of_the_file(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shared / "models" / "yolov8n_640_full_integer_quant.tflite"
    assert main(["models", "inspect", str(model)]) == 0
    found = rows(capsys.readouterr().out)
    assert found["task"] == ["detect"]
    assert found["license"][0].startswith("AGPL-3.0")
    assert found["input"] == ["int8[1, 640, 640, 3] (0.00392157, -128) serving_default_images:0"]
    assert found["family"] == ["yolo"]
    assert found["labels"][0].startswith("80 from the model (metadata): person, bicycle, car")


@pytest.mark.parametrize(
    ("name", "decoder", "bundled"),
    [
        ("yolov5n_640_fp16", "yolov5", "coco_labels80.txt"),
        ("coco_ssd_mobilenet_v1_1.0_quant_300", "ssd", "coco_labels90.txt"),
    ],
)
def test_inspect_offers_labels_for_a_model_without_and_takes_them(
    shared: Path, capsys: pytest.CaptureFixture[str], name: str, decoder: str, bundled: str
) -> None:
    model = str(shared / "models" / f"{name}.tflite")
    labels = str(catalog.assets() / bundled)
    assert main(["models", "inspect", model]) == 0
    output = capsys.readouterr().out
    assert rows(output)["family"] == [decoder]
    assert rows(output)["labels"] == ["none"]
    assert f"\n#EDGED_LABELS={labels}\n" in output

    assert main(["models", "inspect", model, "--labels", labels]) == 0
    output = capsys.readouterr().out
    assert rows(output)["labels"][0].startswith(f"80 from {labels}: person")
    assert output.endswith(f"\nEDGED_MODEL={model}\nEDGED_LABELS={labels}\n")


def test_inspect_of_a_model_for_the_edge_tpu_needs_none(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shared / "models" / "yolov8n_320_full_integer_quant_edgetpu.tflite"
    assert main(["models", "inspect", str(model)]) == 0
    found = rows(capsys.readouterr().out)
    assert found["runs on"] == ["Edge TPU only"]
    assert found["input"] == ["int8[1, 320, 320, 3] (0.0186584, -14) serving_default_images:0"]
    assert found["family"] == ["yolo"]
    assert found["labels"][0].startswith("80 from the model")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("automl_traffic_lstm_3inputs", "3 inputs"),
        ("does_not_load", "does not take does_not_load.tflite"),
    ],
)
def test_inspect_shows_what_it_can_of_a_model_that_edged_cannot_use(
    shared: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    model = shared / "models" / f"{name}.tflite"
    assert main(["models", "inspect", str(model)]) == 78
    output, told = capsys.readouterr()
    assert rows(output)["file"] == [f"{model} ({model.stat().st_size} bytes)"]
    assert "EDGED_MODEL" not in output
    assert words in told


def test_inspect_of_labels_that_do_not_fit_is_refused(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "two.txt"
    labels.write_text("one\ntwo\n", encoding="utf-8")
    model = shared / "models" / "yolov5n_640_fp16.tflite"
    assert main(["models", "inspect", str(model), "--labels", str(labels)]) == 78
    assert "2 labels" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x1c\0\0\0TFL3" + b"\xff" * 100])
def test_inspect_of_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    file = tmp_path / "model.tflite"
    file.write_bytes(content)
    assert main(["models", "inspect", str(file)]) == 78
    output, told = capsys.readouterr()
    assert output == ""
    assert str(file) in told


def test_inspect_shortens_what_nobody_reads(
    demo_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(demo_model.read_bytes())
    with zipfile.ZipFile(model, "a") as attached:
        attached.writestr("metadata.json", json.dumps({"description": "word " * 1000}))
    assert main(["models", "inspect", str(model)]) == 0
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) < 200
    assert rows(output)["description"][0].endswith(" ...")


def test_listing_needs_nothing_heavy() -> None:
    script = "import sys; from edged.cli import main; main(['models', 'list']); print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    modules = done.stdout.splitlines()[-1]
    for heavy in ("'numpy'", "'cv2'", "'av'", "'pydantic'", "'ai_edge_litert'"):
        assert heavy not in modules


def test_try_writes_the_picture_with_what_was_found(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each find, with points and corners where the model gives them, and the drawn picture."""
    photo = shared / "images" / "000000000036.jpg"
    for name, words in (
        ("yolov8n_pose_256_u8in_f32out_nometa", r"person  1[78]\d 1[56]\d 47\d 63\d, 17 points"),
        ("yolov8n_seg_320_full_integer_quant", "outline of"),
        ("movenet_lightning_192_uint8", "17 points"),
    ):
        target = tmp_path / f"{name}.jpg"
        model = shared / "models" / f"{name}.tflite"
        assert main(["models", "try", str(model), str(photo), "--to", str(target)]) == 0
        output, told = capsys.readouterr()
        assert re.search(words, output)
        assert f"wrote {target}: {len(output.splitlines())} found in " in told
        drawn, bare = cv2.imread(str(target)), cv2.imread(str(photo))
        assert drawn is not None
        assert bare is not None
        assert drawn.shape == bare.shape
        assert int((cv2.absdiff(drawn, bare).max(axis=2) > 100).sum()) > 500


def endless_png() -> bytes:
    """The head of a picture larger than OpenCV will have."""
    size = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    pieces = ((b"IHDR", size), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in pieces
    )


@pytest.mark.parametrize("content", [None, b"", b"no picture", endless_png()])
def test_try_of_what_is_no_picture_is_refused(
    demo_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    assert main(["models", "try", str(demo_model), str(path)]) == 69
    assert str(path) in capsys.readouterr().err
