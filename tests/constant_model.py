"""Whole .tflite files without weights: whatever picture comes in, the outputs are the ones given."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edged.records import Tensor

_TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int8": 9}
"""TensorType of TFLite's schema."""


def write(
    path: Path,
    outputs: Sequence[Tensor],
    *,
    shape: Sequence[int],
    dtype: str = "float32",
    open_size: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model; with ``open_size`` the picture's sides are left to whoever loads it.

    The outputs are constants of the graph, which has no operation at all. Metadata go behind it, as
    Ultralytics' exporter puts them.
    """
    graph = flatbuffers.Builder(1024)
    signature = [-1 if open_size and size == 1 and place else size for place, size in enumerate(shape)]
    tensors = [_tensor(graph, "picture", shape, dtype, signature=signature if open_size else None)]
    buffers = [_table(graph, 1, {})]
    for number, output in enumerate(outputs, start=1):
        data = graph.CreateByteVector(output.tobytes())
        buffers.append(_table(graph, 1, {0: data}))
        tensors.append(_tensor(graph, f"output_{number}", output.shape, str(output.dtype), buffer=number))
    subgraph = _table(
        graph,
        5,
        {
            0: _offsets(graph, tensors),
            1: graph.CreateNumpyVector(np.zeros(1, np.int32)),
            2: graph.CreateNumpyVector(np.arange(1, len(tensors), dtype=np.int32)),
            3: _offsets(graph, []),
        },
    )
    parts = {1: _offsets(graph, []), 2: _offsets(graph, [subgraph]), 4: _offsets(graph, buffers)}
    graph.StartObject(8)
    graph.PrependUint32Slot(0, 3, 0)
    for slot, offset in parts.items():
        graph.PrependUOffsetTRelativeSlot(slot, offset, 0)
    graph.Finish(graph.EndObject(), file_identifier=b"TFL3")
    path.write_bytes(bytes(graph.Output()))
    if metadata:
        with zipfile.ZipFile(path, "a") as behind:
            behind.writestr("metadata.json", json.dumps(metadata))
    return path


def _tensor(
    graph: flatbuffers.Builder,
    name: str,
    shape: Sequence[int],
    dtype: str,
    *,
    buffer: int = 0,
    signature: Sequence[int] | None = None,
) -> int:
    parts = {0: graph.CreateNumpyVector(np.array(shape, np.int32)), 3: graph.CreateString(name)}
    if signature is not None:
        parts[7] = graph.CreateNumpyVector(np.array(signature, np.int32))
    graph.StartObject(8)
    for slot, offset in parts.items():
        graph.PrependUOffsetTRelativeSlot(slot, offset, 0)
    graph.PrependInt8Slot(1, _TYPES[dtype], 0)
    graph.PrependUint32Slot(2, buffer, 0)
    made: int = graph.EndObject()
    return made


def _table(graph: flatbuffers.Builder, slots: int, offsets: dict[int, int]) -> int:
    graph.StartObject(slots)
    for slot, offset in offsets.items():
        graph.PrependUOffsetTRelativeSlot(slot, offset, 0)
    made: int = graph.EndObject()
    return made


def _offsets(graph: flatbuffers.Builder, tables: Sequence[int]) -> int:
    graph.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        graph.PrependUOffsetTRelative(table)
    made: int = graph.EndVector()
    return made
