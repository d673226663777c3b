"""The flatbuffer of a .tflite, read without a runtime: is it whole, and what does it run.

Own reader, because tflite-runtime does not verify what it loads: of the sample models cut at random places,
more than half end the process. (ai-edge-litert verifies and refuses them.) The walk here reaches
every table, string and vector of the graph, and fails at the first one that is not all there.

Source: TensorFlow Lite, schema/schema.fbs; FlatBuffers documentation, "Internals" and "FlexBuffers".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

IDENTIFIER = b"TFL3"
"""Bytes 4-7 of every .tflite."""
_LEAST = 8


class MalformedError(ValueError):
    """Something the file refers to is not in it."""


@dataclass(frozen=True, slots=True)
class Graph:
    """What edged wants to know of a graph before a runtime loads it."""

    custom_options: Mapping[str, Mapping[str, Any]]
    """By name of a custom operation the options of its first use, empty where they have another form."""
    metadata: Mapping[str, bytes]
    """What a converter has attached to the graph, by name."""
    end: int
    """Bytes of the file that the graph reaches; what lies behind is not part of it."""


class _Field(NamedTuple):
    kind: Literal["vector", "tables", "table"]
    of: str | int
    """Size of the elements of a vector, name of the table otherwise."""


_STRING = _Field("vector", 1)
_INTS = _Field("vector", 4)
_OPTIONS = _Field("table", "Opaque")
_SCHEMA: dict[str, dict[int, _Field]] = {
    # By table the fields that refer to something, by their number in the schema.
    "Model": {
        1: _Field("tables", "OperatorCode"),
        2: _Field("tables", "SubGraph"),
        3: _STRING,
        4: _Field("tables", "Buffer"),
        5: _INTS,
        6: _Field("tables", "Metadata"),
        7: _Field("tables", "SignatureDef"),
    },
    "OperatorCode": {1: _STRING},
    "SubGraph": {
        0: _Field("tables", "Tensor"),
        1: _INTS,
        2: _INTS,
        3: _Field("tables", "Operator"),
        4: _STRING,
    },
    "Tensor": {
        0: _INTS,
        3: _STRING,
        4: _Field("table", "QuantizationParameters"),
        6: _Field("table", "SparsityParameters"),
        7: _INTS,
    },
    "QuantizationParameters": {0: _INTS, 1: _INTS, 2: _INTS, 3: _Field("vector", 8), 5: _OPTIONS},
    "SparsityParameters": {0: _INTS, 1: _INTS, 2: _Field("tables", "Opaque")},
    "Operator": {1: _INTS, 2: _INTS, 4: _OPTIONS, 5: _STRING, 7: _STRING, 8: _INTS, 12: _OPTIONS},
    "Buffer": {0: _STRING},
    "Metadata": {0: _STRING},
    "SignatureDef": {0: _Field("tables", "TensorMap"), 1: _Field("tables", "TensorMap"), 2: _STRING},
    "TensorMap": {0: _STRING},
    "Opaque": {},
}
_CUSTOM_CODE = 1
_OPERATOR_CODES, _BUFFERS, _METADATA = 1, 4, 6
_OPCODE_INDEX, _CUSTOM_OPTIONS = 0, 5
_BUFFER_OFFSET, _BUFFER_SIZE = 1, 2


def read(data: bytes) -> Graph:
    """Walk through a whole model.

    Args:
        data: the file, with ``IDENTIFIER`` in its place.

    Raises:
        MalformedError: the file ends before the model does, or is damaged.
    """
    walk = Walk(data)
    root = walk.u32(0)
    walk.visit(root, "Model")
    codes = [walk.text(code, _CUSTOM_CODE) for code in walk.tables(root, _OPERATOR_CODES)]
    options: dict[str, Mapping[str, Any]] = {}
    for operator in walk.operators:
        slot = walk.slot(operator, _OPCODE_INDEX)
        index = walk.u32(slot) if slot else 0
        if index >= len(codes):
            raise MalformedError(f"an operation has the code {index} of {len(codes)}")
        if codes[index] and codes[index] not in options:
            options[codes[index]] = _flexbuffer_map(walk.bytes(operator, _CUSTOM_OPTIONS))
    return Graph(options, _metadata(walk, root), walk.end)


def _metadata(walk: Walk, root: int) -> dict[str, bytes]:
    buffers = walk.tables(root, _BUFFERS)
    found = {}
    for entry in walk.tables(root, _METADATA):
        slot = walk.slot(entry, 1)
        index = walk.u32(slot) if slot else 0
        if index < len(buffers):
            found[walk.text(entry, 0)] = walk.bytes(buffers[index], 0)
    return found


class Walk:
    """Reads with every position checked, and remembers how far it came."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._seen: set[tuple[int, str]] = set()
        self.end = _LEAST
        self.operators: list[int] = []

    def visit(self, table: int, name: str) -> None:
        """Make sure that a table and everything it refers to lies inside the file."""
        if (table, name) in self._seen:  # a damaged file may refer to the same table a million times
            return
        self._seen.add((table, name))
        self._reach(table, self.u16(self._vtable(table) + 2))
        if name == "Operator":
            self.operators.append(table)
        for number, field in _SCHEMA[name].items():
            slot = self.slot(table, number)
            if not slot:
                continue
            target = self._follow(slot)
            if field.kind == "table":
                self.visit(target, str(field.of))
            elif field.kind == "tables":
                count = self.u32(target)
                self._reach(target, 4 + 4 * count)
                for index in range(count):
                    self.visit(self._follow(target + 4 + 4 * index), str(field.of))
            else:
                self._reach(target, 4 + self.u32(target) * int(field.of))
        if name == "Buffer":
            # Buffers of models over 2 GB lie outside the flatbuffer.
            offset, size = (self.slot(table, number) for number in (_BUFFER_OFFSET, _BUFFER_SIZE))
            if offset and size and self._u64(offset) > 1:
                self._reach(self._u64(offset), self._u64(size))

    def slot(self, table: int, number: int) -> int:
        """Where a table keeps a field, 0 where it leaves it out."""
        vtable = self._vtable(table)
        place = 4 + 2 * number
        if place + 2 > self.u16(vtable):
            return 0
        offset = self.u16(vtable + place)
        return table + offset if offset else 0

    def tables(self, table: int, number: int) -> list[int]:
        """Positions of the tables in a vector of them."""
        slot = self.slot(table, number)
        if not slot:
            return []
        vector = self._follow(slot)
        return [self._follow(vector + 4 + 4 * index) for index in range(self.u32(vector))]

    def table(self, table: int, number: int) -> int:
        """Position of the table in a field, 0 where it is left out."""
        slot = self.slot(table, number)
        return self._follow(slot) if slot else 0

    def number(self, table: int, number: int, form: str, default: float) -> float:
        """A scalar in the form of ``struct``."""
        slot = self.slot(table, number)
        return self._number(form, slot) if slot else default

    def floats(self, table: int, number: int, count: int) -> list[tuple[float, ...]]:
        """The first ``count`` fields, float32, of every table in a vector of them; 0 where left out."""
        places: dict[int, list[int]] = {}  # tables of a kind mostly share a vtable
        unpack, found = struct.Struct("<f").unpack_from, []
        for target in self.tables(table, number):
            vtable = self._vtable(target)
            if vtable not in places:
                slots = [self.slot(target, index) for index in range(count)]
                places[vtable] = [slot and slot - target for slot in slots]
            self._reach(target, max(places[vtable]) + 4)
            found.append(
                tuple(unpack(self._data, target + place)[0] if place else 0.0 for place in places[vtable])
            )
        return found

    def bytes(self, table: int, number: int) -> bytes:
        """Content of a vector of bytes."""
        slot = self.slot(table, number)
        if not slot:
            return b""
        vector = self._follow(slot)
        return self._data[vector + 4 : vector + 4 + self.u32(vector)]

    def text(self, table: int, number: int) -> str:
        """Content of a string."""
        return self.bytes(table, number).decode(errors="replace")

    def u32(self, position: int) -> int:
        """Unsigned 32-bit number."""
        return int(self._number("<I", position))

    def u16(self, position: int) -> int:
        """Unsigned 16-bit number."""
        return int(self._number("<H", position))

    def _u64(self, position: int) -> int:
        return int(self._number("<Q", position))

    def _follow(self, position: int) -> int:
        return position + self.u32(position)

    def _vtable(self, table: int) -> int:
        return table - int(self._number("<i", table))

    def _number(self, form: str, position: int) -> Any:
        self._reach(position, struct.calcsize(form))
        number: Any = struct.unpack_from(form, self._data, position)[0]
        return number

    def _reach(self, position: int, size: int) -> None:
        if position < 0 or position + size > len(self._data):
            raise MalformedError(f"the file has {len(self._data)} bytes and refers to byte {position + size}")
        self.end = max(self.end, position + size)


_FLEX_MAP, _FLEX_INT, _FLEX_UINT, _FLEX_FLOAT, _FLEX_BOOL = 9, 1, 2, 3, 26
_SIGNED, _UNSIGNED = ({1: f"<{b}", 2: f"<{h}", 4: f"<{i}", 8: f"<{q}"} for b, h, i, q in ("bhiq", "BHIQ"))
_FLOATS = {4: "<f", 8: "<d"}
_SCALARS: dict[int, tuple[dict[int, str], Callable[[Any], Any]]] = {
    _FLEX_INT: (_SIGNED, int),
    _FLEX_UINT: (_UNSIGNED, int),
    _FLEX_FLOAT: (_FLOATS, float),
    _FLEX_BOOL: (_UNSIGNED, bool),
}


def _flexbuffer_map(data: bytes) -> dict[str, Any]:
    """The numbers of a FlexBuffers map by name; empty where the bytes are something else.

    A FlexBuffer ends with its root: the value, its packed type (type << 2 | log2 of the width of what it
    refers to) and the width of the value. A map is a vector of values, then their packed types; before it lie
    the offset of the vector of its keys, the width of its elements and the number of both.
    """
    try:
        root_width, packed = data[-1], data[-2]
        if packed >> 2 != _FLEX_MAP:
            return {}
        root = len(data) - 2 - root_width
        width = 1 << (packed & 3)
        values = root - _unsigned(data, root, root_width)
        count = _unsigned(data, values - width, width)
        key_width = _unsigned(data, values - 2 * width, width)
        keys = values - 3 * width - _unsigned(data, values - 3 * width, width)
        found: dict[str, Any] = {}
        for index in range(count):
            at = keys + index * key_width
            name = at - _unsigned(data, at, key_width)
            scalar = _SCALARS.get(data[values + count * width + index] >> 2)
            if scalar and name >= 0:
                (number,) = struct.unpack_from(scalar[0][width], data, values + index * width)
                found[data[name : data.index(0, name)].decode()] = scalar[1](number)
    except (IndexError, KeyError, ValueError, struct.error):
        return {}
    return found


def _unsigned(data: bytes, position: int, width: int) -> int:
    if position < 0:
        raise IndexError(position)
    number: int = struct.unpack_from(_UNSIGNED[width], data, position)[0]
    return number
