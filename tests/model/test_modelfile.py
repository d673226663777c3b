"""What model files say of themselves, and files that are no models."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.decoders.labels import class_names
from edged.errors import ConfigError, ModelError
from edged.model import file, flatbuffer
from edged.model.labels import parse
from edged.records import Model

ROOT = Path(__file__).parents[2]
EMPTY_GRAPH = struct.pack("<I4sHHi", 12, b"TFL3", 4, 4, 4)
"""The smallest whole .tflite: a model table without fields."""


def with_files(files: dict[str, str], graph: bytes = EMPTY_GRAPH) -> bytes:
    """A model with a zip behind it, as exporters append it."""
    content = io.BytesIO(graph)
    content.seek(0, io.SEEK_END)
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def model(folder: Path, content: bytes) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return path


DESCRIPTION = {"names": {"0": "cat", "2": "dog"}, "task": "detect", "imgsz": [640, 640]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.json", json.dumps(DESCRIPTION)),
        ("metadata.txt", repr({**DESCRIPTION, "names": {0: "cat", 2: "dog"}})),
        ("temp_meta.txt", repr({**DESCRIPTION, "names": {0: "cat", 2: "dog"}})),
        ("metadata.json", json.dumps({**DESCRIPTION, "names": ["cat", "", "dog"]})),
    ],
)
def test_reads_the_description_of_the_exporter(tmp_path: Path, name: str, text: str) -> None:
    """JSON or Python literal, names by number, by number as text, or as a list."""
    content = file.read(model(tmp_path, with_files({name: text})))
    assert content.metadata["task"] == "detect"
    assert content.labels == ("cat", "", "dog")
    assert content.labels_from.endswith("model.tflite (metadata)")
    assert not content.edgetpu


@pytest.mark.parametrize("names", [{"0": "per\x1b[31mson\n", "1": "\ud83d", "2": " a\u200cb "}, None])
def test_names_hold_nothing_that_no_message_can_hold(tmp_path: Path, names: dict[str, str] | None) -> None:
    """Orders to a terminal, ends of lines, halves of characters would come into topics and heads of HTTP."""
    described = with_files({"metadata.json": json.dumps({"names": names})}) if names else EMPTY_GRAPH
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps(["per\x1b[31mson\n", "\ud83d", " a\u200cb "]))
    content = file.read(model(tmp_path, described), labels=None if names else labels)
    assert content.labels == ("per [31mson", "", "a\u200cb")


def test_a_bare_model_says_nothing(tmp_path: Path) -> None:
    """No zip, no metadata, no labels; and no error."""
    content = file.read(model(tmp_path, EMPTY_GRAPH))
    assert (content.metadata, content.labels, content.labels_from) == ({}, (), "")


def test_reads_packed_label_files(tmp_path: Path) -> None:
    """TFLite Metadata packs labels as files of their own; labelmap.txt goes before others."""
    packed = {"readme.txt": "nothing", "a_labels.txt": "wrong\n", "labelmap.txt": "???\nperson\n"}
    content = file.read(model(tmp_path, with_files(packed)))
    assert content.labels == ("???", "person")
    assert content.labels_from.endswith("model.tflite (labelmap.txt)")


def test_given_labels_win(tmp_path: Path) -> None:
    """EDGED_LABELS replaces what the model carries."""
    labels = tmp_path / "labels.txt"
    labels.write_text("Katze\n\nHund\n")
    path = model(tmp_path, with_files({"metadata.json": json.dumps(DESCRIPTION)}))
    content = file.read(path, labels=labels)
    assert content.labels == ("Katze", "", "Hund")
    assert content.labels_from == str(labels)
    assert content.metadata["task"] == "detect"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("person\nbicycle\ncar", ("person", "bicycle", "car")),
        ("person\r\ntraffic light\r\n", ("person", "traffic light")),
        ("\ufeffperson\n\n\n", ("person",)),
        ("0  person\n2  car\n", ("person", "", "car")),
        ("2: car\n0: person\n", ("person", "", "car")),
        ("0 person\ncar\n", ("0 person", "car")),
        ("4 wheeler\n2 wheeler\n", ("", "", "wheeler", "", "wheeler")),
        ("Fußgänger\n", ("Fußgänger",)),
    ],
)
def test_reads_labels_files(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    """One name a line, or a class id and a name on every line; blank lines at the end do not count."""
    path = tmp_path / "labels.txt"
    path.write_bytes(text.encode())
    assert file.read_labels(path).names == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"caf\xe9\n", "is no text in UTF-8"),
        (b"a\0b\n", "is no text"),
        (b"0 cat\n0 dog\n", "names a class id twice"),
        (b"0 cat\n999999999 dog\n", "class ids outside 0..99999"),
        (b"x" * (5 << 20), "is too large to be one"),
    ],
)
def test_refuses_what_is_no_labels_file(tmp_path: Path, content: bytes, reason: str) -> None:
    """The message names the file and the reason."""
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        file.read_labels(path)
    assert f"the labels file {path} " in str(error.value)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"abc", "has only 3 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "run git lfs pull"),
        (b"<!DOCTYPE html><html>", "download the raw file"),
        (b"PK\x03\x04 archive of some kind", "PyTorch"),
        (b"plain text, for a change", "begins with b'plain te'"),
        (EMPTY_GRAPH[:-2], "was cut off or is damaged"),
        (EMPTY_GRAPH[:8] + b"\xff" * 20, "was cut off or is damaged"),
    ],
)
def test_refuses_what_is_no_model(tmp_path: Path, content: bytes, reason: str) -> None:
    """The message names the file, what is wrong with it and what to do."""
    path = model(tmp_path, content)
    with pytest.raises(ModelError) as error:
        file.read(path)
    assert str(path) in str(error.value)
    assert reason in str(error.value)
    assert error.value.hint


def test_refuses_a_damaged_description(tmp_path: Path) -> None:
    """A model whose description was cut off would run without names, so it is refused."""
    whole = with_files({"metadata.json": json.dumps(DESCRIPTION)})
    for content in (
        whole[:-1],
        whole[:-30],
        whole[: len(EMPTY_GRAPH) + 40],
        whole.replace(b"PK\x01\x02", b"PK\x01\x03"),
    ):
        with pytest.raises(ModelError, match="description inside the model"):
            file.read(model(tmp_path, content))
    for text in ("{", "[" * 100_000):
        with pytest.raises(ModelError, match=r"metadata\.json inside the model"):
            file.read(model(tmp_path, with_files({"metadata.json": text})))
    with pytest.raises(ModelError, match=r"metadata\.txt inside the model"):
        file.read(model(tmp_path, with_files({"metadata.txt": "__import__('os').getpid()"})))
    with pytest.raises(ModelError, match="labels inside the model"):
        file.read(model(tmp_path, with_files({"metadata.json": '{"names": {"x": "cat"}}'})))


def test_an_inflated_description_is_left_packed(tmp_path: Path) -> None:
    """A zip that would unpack to gigabytes is not unpacked."""
    packed = with_files({"metadata.json": " " * (64 << 20)})
    assert file.read(model(tmp_path, packed)).metadata == {}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a folder, not for this user: each is told in a sentence of its own."""
    with pytest.raises(ModelError, match=r"nowhere\.tflite does not exist"):
        file.read(tmp_path / "nowhere.tflite")
    with pytest.raises(ModelError, match="is a folder"):
        file.read(tmp_path)
    with pytest.raises(ConfigError, match=r"labels file .*none\.txt does not exist"):
        file.read(model(tmp_path, EMPTY_GRAPH), labels=tmp_path / "none.txt")
    with pytest.raises(ModelError, match="cannot be read: Not a directory"):
        file.read(model(tmp_path, EMPTY_GRAPH) / "deeper")


def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    """A model that the daemon's user may not read is told with the command that mends it."""
    path = model(tmp_path, EMPTY_GRAPH)
    path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(ModelError, match=r"may not be read\. .*chmod a\+r"):
            file.read(path)
    finally:
        if root:
            os.seteuid(0)


def test_knows_what_is_compiled_for_the_edge_tpu(shared: Path) -> None:
    """Told from the operations, not from the name of the file."""
    found = {path.stem: file.read(path).edgetpu for path in (shared / "models").glob("*.tflite")}
    assert found == {name: name.endswith("_edgetpu") for name in found}
    assert set(found.values()) == {True, False}


def test_reads_real_models(shared: Path) -> None:
    """Names of the classes and of the number of classes, where the models have them."""
    folder = shared / "models"
    coco = file.read_labels(folder / "coco_labels80.txt").names
    for name in (
        "yolo11n_640_full_integer_quant",
        "yolov8n_224_full_integer_quant",
        "yolo26n_640_int8dyn_e2e",
    ):
        assert file.read(folder / f"{name}.tflite").labels == coco
    ssd = file.read(folder / "coco_ssd_mobilenet_v1_1.0_quant_300.tflite")
    assert ssd.metadata == {"num_classes": 90}
    assert len(file.read_labels(folder / "ssd_coco_labels90.txt").names) == 91
    assert len(file.read(folder / "mobilenet_v1_0.25_128_quant.tflite").labels) == 1001


def test_the_labels_files_of_edged_fit() -> None:
    """80 classes for YOLO models, ids 0 to 89 for those of Coral."""
    yolo = file.read_labels(ROOT / "models" / "coco_labels80.txt").names
    coral = file.read_labels(ROOT / "models" / "coco_labels90.txt").names
    assert len(yolo) == 80
    assert len(coral) == 90
    assert [name for name in coral if name] == list(yolo)


@given(st.binary(max_size=200))
def test_no_bytes_upset_the_reader(content: bytes) -> None:
    """Whatever lies behind the identifier is a graph or malformed, and nothing else."""
    with contextlib.suppress(flatbuffer.MalformedError):
        flatbuffer.read(EMPTY_GRAPH[:8] + content)


@given(places=st.lists(st.floats(0, 1), min_size=1, max_size=5), value=st.integers(0, 255))
def test_no_damage_upsets_the_reader(shared: Path, places: list[float], value: int) -> None:
    """Damaged bytes in a real graph are malformed or not noticed, and nothing else."""
    content = bytearray((shared / "models" / "mobilenet_v1_0.25_128_quant.tflite").read_bytes())
    # Weights fill the middle; tables and names, which are what the walk follows, lie at the end of the graph.
    first, last = 470_000, flatbuffer.read(bytes(content)).end - 1
    for place in places:
        content[round(first + place * (last - first))] = value
    with contextlib.suppress(flatbuffer.MalformedError):
        flatbuffer.read(bytes(content))


LOAD = """
import sys
from pathlib import Path
from edged.model import file as modelfile
from edged.engines import runtime
from edged.errors import ModelError

whole, path = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
interpreter = runtime.load().interpreter
for length in map(int, sys.argv[3:]):
    path.write_bytes(whole[:length])
    try:
        modelfile.read(path)
    except ModelError:
        print(length, "refused", flush=True)
        continue
    try:
        engine = interpreter(model_path=str(path))
        engine.allocate_tensors()
        engine.invoke()
    except (ValueError, RuntimeError):
        pass
    print(length, "loaded", flush=True)
"""
"""Loads a model cut at many lengths; a native crash would end it."""


@pytest.mark.parametrize(
    "name",
    ["coco_ssd_mobilenet_v1_1.0_quant_300", "mobilenet_v1_0.25_128_quant", "yolov8n_224_full_integer_quant"],
)
def test_no_length_of_a_model_crashes_the_runtime(shared: Path, tmp_path: Path, name: str) -> None:
    """A file that was cut off anywhere is refused before a runtime that does not verify can die of it."""
    path = shared / "models" / f"{name}.tflite"
    size = path.stat().st_size
    generator = random.Random(name)  # noqa: S311  # cuts, not secrets
    lengths = {*range(0, 200, 7), *(size - back for back in (1, 2, 4, 8, 12, 16, 24, 100, 1000, 3000))}
    lengths |= {generator.randrange(size) for _ in range(100)}
    ran = subprocess.run(
        [sys.executable, "-c", LOAD, path, tmp_path / "cut.tflite", *map(str, sorted(lengths))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    said = dict(line.split() for line in ran.stdout.splitlines())
    assert ran.returncode == 0, f"the runtime died of {path.name} cut after {list(said)[-1:]}"
    assert len(said) == len(lengths)
    assert all(said[str(length)] == "refused" for length in lengths if length < size * 0.9)


@pytest.mark.parametrize(
    ("text", "names", "numbered"),
    [
        ("person\ncar\n", ("person", "car"), False),
        ("0 person\n2: car\n", ("person", "", "car"), True),
        ("item {\n  id: 1\n  name: '/m/01g317'\n  display_name: \"person\"\n}\nitem { id: 3 name: 'car' }\n",
         ("person", "", "car"), True),
        ("path: ../coco\nnames:\n  0: person\n  1: 'fire hydrant'  # red\nnc: 2\n",
         ("person", "fire hydrant"), True),
        ("nc: 2\nnames: ['person', 'car']\n", ("person", "car"), False),
        ("names: [person, car]\n", ("person", "car"), False),
        ("names: {0: person, 1: car}\n", ("person", "car"), True),
        ("names:\n- person\n- car\n", ("person", "car"), False),
        ('id,name\n0,person\n2,"traffic light"\n', ("person", "", "traffic light"), True),
        ("0;person\n1;car\n", ("person", "car"), True),
        ("# of street.tflite\n\"person\"\n'car'\n", ("person", "car"), False),
        ('["person", "car"]', ("person", "car"), False),
        ('{"0": "person", "2": "car"}\n', ("person", "", "car"), True),
        ("4wheeler\n2,5 m\n", ("4wheeler", "2,5 m"), False),
    ],
)  # fmt: skip
def test_labels_of_every_usual_form_are_read(text: str, names: tuple[str, ...], numbered: bool) -> None:  # noqa: FBT001
    """Plain, numbered, TensorFlow's label map, YOLO's data.yaml, tables, JSON, marks of Windows."""
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert parse(text.replace("\n", "\r\n").encode(encoding)) == (names, numbered)
    assert parse(text.encode()) == (names, numbered)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nc: 80\ntrain: images/train\nval: images/val\n", "data.yaml without names"),
        ('{"person": 0}', "begins as JSON"),
        ("[person\n", "begins as JSON"),
    ],
)
def test_what_names_nothing_is_told(text: str, says: str) -> None:
    """Rather than by a count of classes that does not fit."""
    with pytest.raises(ValueError, match=says):
        parse(text.encode())


def test_one_numbered_label_too_many_shifts_no_other(shared: Path) -> None:
    """Numbers on every line say whose name it is; the COCO SSD has 90 classes and this file 91 names."""
    labels = shared / "faults" / "numbered_91_labels_for_90_classes.txt"
    path = shared / "models" / "coco_ssd_mobilenet_v1_1.0_quant_300.tflite"
    content = file.read(path, labels=labels)
    known = Model("ssd", (), (), content.metadata, content.labels, labels_numbered=content.labels_numbered)
    names = class_names(known, 90)
    assert (len(names), names[0], names[89]) == (90, "person", "toothbrush")
