"""``edged run`` with models and labels that it cannot use: told, and nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from runs import nothing_left, refused, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
