"""What a .tflite carries besides its graph, and whether it is one at all. Needs no TFLite runtime."""

from __future__ import annotations

import ast
import io
import json
import lzma
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from edged.errors import ConfigError, EdgedError, ModelError
from edged.model import detector_options, flatbuffer
from edged.model.labels import ClassNames, by_id, parse, plain
from edged.settings import sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping

EDGETPU_OP = "edgetpu-custom-op"
"""The one operation that the Edge TPU compiler makes of everything it takes."""
_POSTPROCESS_OP = "TFLite_Detection_PostProcess"
_METADATA = ("metadata.json", "metadata.txt", "temp_meta.txt")
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError, OSError,
    ValueError,
)  # fmt: skip
"""All that the library raises for archives that are damaged."""
_ZIP_START = b"PK\x03\x04"
_MOST_BYTES = 4 << 20
"""Metadata and labels are some kilobytes; more is a mistake or an attack."""
_LEAST_BYTES = 8
_NOT_TFLITE = (
    # What people have instead of a model, by its first bytes.
    (b"version https://git-lfs", "It is a pointer of Git LFS: run git lfs pull where it comes from"),
    (b"<", "It is a web page: download the raw file, not the page about it"),
    (b"PK", "It is an archive or a PyTorch model: unpack it or export it as TFLite"),
    (b"\x08", "It may be an ONNX model: convert it to TFLite"),
)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A .tflite that is whole."""

    path: Path
    metadata: Mapping[str, Any]
    """The exporter's own description (Ultralytics: names, stride, imgsz, task), ``num_classes`` of a
    detection post-processing, and what ``detector_options`` finds; empty where there is none."""
    labels: tuple[str, ...]
    """Class names by class id, empty where there are none; gaps are ``""``."""
    labels_from: str
    """Where the labels were read, for messages: a path, or a file inside the model; empty without labels."""
    edgetpu: bool
    """Whether it is compiled for the Edge TPU, and so runs nowhere else."""
    labels_numbered: bool = False
    """Whether every label says its class id."""


def cpu_build(model: Path) -> Path | None:
    """The same model for the CPU, if it lies beside the one for the Edge TPU under its usual name."""
    beside = model.with_name(model.name.replace("_edgetpu.tflite", ".tflite"))
    return beside if beside != model and beside.is_file() else None


def read(path: Path, *, labels: Path | None = None) -> ModelFile:
    """Read what a model file says of itself.

    Args:
        path: the .tflite.
        labels: a labels file; it wins over the labels inside the model.

    Raises:
        ModelError: it cannot be read, is no TFLite model, or was cut off.
        ConfigError: the labels file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(ModelError, "model", path, error) from error
    graph = _graph(path, data)
    attached = _attachments(path, data, graph.end)
    # What was put beside the graph must not replace what the graph says of itself.
    described = _metadata(path, attached)
    metadata = {name: value for name, value in described.items() if not str(name).startswith("ssd_")}
    metadata |= _detector_options(path, graph)
    options = graph.custom_options.get(_POSTPROCESS_OP, {})
    if "num_classes" in options:
        metadata["num_classes"] = options["num_classes"]
    if labels is not None:
        known, origin = read_labels(labels), str(labels)
    else:
        known, origin = _own_labels(path, metadata, attached)
    edgetpu = EDGETPU_OP in graph.custom_options
    names = tuple(map(plain, known.names))
    return ModelFile(path, metadata, names, origin, edgetpu, labels_numbered=known.numbered)


def read_labels(path: Path) -> ClassNames:
    """Names by class id from a text file; gaps are ``""``. See :func:`edged.model.labels.parse`.

    Raises:
        ConfigError: it cannot be read, names nothing or names a class id twice.
    """
    try:
        text = path.read_bytes()[: _MOST_BYTES + 1]
    except OSError as error:
        raise _unreadable(ConfigError, "labels file", path, error) from error
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(
            f"the labels file {path} {error}",
            hint="Write one name a line, or a class id and a name, or give a .pbtxt or data.yaml",
        ) from error


def _graph(path: Path, data: bytes) -> flatbuffer.Graph:
    if len(data) < _LEAST_BYTES:
        size = f"has only {len(data)} bytes" if data else "is empty"
        raise ModelError(f"the model {path} {size}", hint="Get it again")
    if data[4:8] != flatbuffer.IDENTIFIER:
        begins = data[:1000].lstrip()  # a web page may begin with empty lines
        hint = next((hint for start, hint in _NOT_TFLITE if begins.startswith(start)), "")
        raise ModelError(
            f"{path} is no TFLite model: it begins with {data[:8]!r}, not with TFL3 at byte 4",
            hint=hint or "Give a .tflite file",
        )
    try:
        return flatbuffer.read(data)
    except (flatbuffer.MalformedError, RecursionError) as error:
        raise ModelError(
            f"the model {path} was cut off or is damaged: {error}",
            hint="Get it again and compare its size or checksum with the original",
        ) from error


def _detector_options(path: Path, graph: flatbuffer.Graph) -> Mapping[str, Any]:
    try:
        return detector_options.read(graph.metadata.get(detector_options.TFLITE_METADATA, b""))
    except flatbuffer.MalformedError as error:
        raise ModelError(
            f"the metadata inside the model {path} is damaged: {error}", hint="Get it again"
        ) from error


def _attachments(path: Path, data: bytes, end: int) -> dict[str, bytes]:
    """Small text files of the zip behind the graph, by name without folders."""
    if _ZIP_START not in data[end:]:
        return {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {
                PurePosixPath(member.filename).name: archive.read(member)
                for member in archive.infolist()
                if member.filename.endswith((".json", ".txt")) and member.file_size <= _MOST_BYTES
            }
    except _ZIP_ERRORS as error:
        raise ModelError(
            f"the description inside the model {path} was cut off or is damaged: {error}",
            hint="Get it again and compare its size or checksum with the original",
        ) from error


def _metadata(path: Path, attached: Mapping[str, bytes]) -> dict[str, Any]:
    name = next((name for name in _METADATA if name in attached), "")
    if not name:
        return {}
    try:
        text = attached[name].decode()
        # Ultralytics wrote a Python literal before it wrote JSON.
        content = json.loads(text) if name.endswith(".json") else ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ModelError(
            f"{name} inside the model {path} cannot be read: {error}", hint="Export it again"
        ) from error
    return content if isinstance(content, dict) else {}


def _own_labels(
    path: Path, metadata: Mapping[str, Any], attached: Mapping[str, bytes]
) -> tuple[ClassNames, str]:
    """Labels that a model carries, and in which file inside it."""
    names = metadata.get("names")
    try:
        if isinstance(names, dict):
            known = by_id((int(class_id), str(name)) for class_id, name in names.items())
            # A model's own labels are all of its labels, numbered or not.
            return known._replace(numbered=False), f"{path} (metadata)"
        if isinstance(names, list):
            return ClassNames(tuple(map(str, names)), numbered=False), f"{path} (metadata)"
        files = [name for name in attached if name.endswith(".txt") and "label" in name.lower()]
        for name in sorted(files, key=lambda name: (name != "labelmap.txt", name)):
            return parse(attached[name]), f"{path} ({name})"
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"the labels inside the model {path} cannot be read: {error}",
            hint="Set EDGED_LABELS to a labels file",
        ) from error
    return ClassNames((), numbered=False), ""


def _unreadable(kind: type[EdgedError], what: str, path: Path, error: OSError) -> EdgedError:
    """One sentence for each way in which a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        hint = sandbox.explained(path, f"Look for it in {path.absolute().parent}")
        return kind(f"the {what} {path} does not exist", hint=hint)
    if isinstance(error, IsADirectoryError):
        return kind(f"the {what} {path} is a folder", hint="Give a file in it")
    if isinstance(error, PermissionError):
        rights = f"Let the user that runs edged read it: chmod a+r {path}, and a+x on the folders above it"
        return kind(f"the {what} {path} may not be read", hint=sandbox.explained(path, rights))
    return kind(
        f"the {what} {path} cannot be read: {error.strerror or error}", hint="Look after the disk it is on"
    )
