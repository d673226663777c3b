"""Class names from the files that people have: plain, numbered, TensorFlow's label maps, YOLO's data.yaml."""

from __future__ import annotations

import ast
import codecs
import json
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_BYTES = 4 << 20
"""Labels are some kilobytes; more is a mistake or an attack."""
_MOST_CLASSES = 100_000
_NUMBERED = re.compile(r"(\d+)[\s:,;]+(\S.*)")
_HEADING = re.compile(r"\s*(?:class[_ ]?)?(?:id|index)\s*[,;\t].*\n", re.IGNORECASE)
"""The first line of a table with class ids."""
_ITEM = re.compile(r"\bitem\s*\{(.*?)\}", re.DOTALL)
_FIELD = re.compile(r"\b(id|name|display_name)\s*:\s*(?:(\d+)|'([^']*)'|\"([^\"]*)\")")
_NAMES = re.compile(r"^names\s*:[ \t]*(.*)$", re.MULTILINE)
_NAMELESS = re.compile(r"^(?:nc|train|val)\s*:", re.MULTILINE)
"""What else a data.yaml says."""
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
"""What no name has: orders to a terminal, ends of lines, halves of characters, which no message can hold."""
_ENTRY = re.compile(r"[ \t]*(?:-|(\d+)\s*:)\s*(\S.*?)\s*(?:#.*)?$")


class ClassNames(NamedTuple):
    """Names by class id."""

    names: tuple[str, ...]
    """Gaps are ``""``."""
    numbered: bool
    """Whether each name says its class id: then one too many cannot shift the others."""


def plain(name: str) -> str:
    """A name as it is shown, sent and written in settings."""
    return _UNSEEN.sub(" ", name).strip()


def parse(content: bytes) -> ClassNames:
    """Class names of a text, whatever its form.

    - one name a line, in the order of the class ids;
    - a class id and its name on every line, as in Coral's coco_labels.txt, in any order and with gaps;
    - ``item { id: 1 name: "..." display_name: "..." }`` of TensorFlow, where 1 is class 0 of the model: 0 is
      the background, which no post-processing gives;
    - ``names:`` of a YOLO data.yaml, as a list or by class id;
    - JSON: a list of names, or names by class id.

    Lines that begin with ``#`` are comments. UTF-8, or UTF-16 with its mark, as Windows writes it.

    Raises:
        ValueError: it is no text, names nothing or names a class id twice.
    """
    if len(content) > _MOST_BYTES:
        raise ValueError("is too large to be one")
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("is no text in UTF-8") from error
    if "\0" in text:
        raise ValueError("is no text")
    if not text.strip():
        raise ValueError("is empty")
    found = _found(text)
    if not any(found.names):
        raise ValueError("names nothing")
    return found


def _found(text: str) -> ClassNames:
    if items := _ITEM.findall(text):
        return by_id(_map_item(item) for item in items)
    if (names := _NAMES.search(text)) and (found := _yaml(names[1].strip(), text[names.end() :])):
        return found
    if _NAMELESS.search(text):
        raise ValueError("is a data.yaml without names")
    if text.lstrip().startswith(("[", "{")):
        return _json(text)
    lines = [line.strip() for line in text.rstrip().splitlines() if not line.lstrip().startswith("#")]
    heading = _HEADING.match(text)
    numbered = [_NUMBERED.fullmatch(line) for line in lines[1 if heading else 0 :] if line]
    if numbered and all(numbered):
        return by_id((int(match[1]), _unquoted(match[2])) for match in numbered if match)
    return ClassNames(tuple(map(_unquoted, lines)), numbered=False)


def _unquoted(name: str) -> str:
    quoted = len(name) > 2 and name[0] == name[-1] and name[0] in "'\""  # noqa: PLR2004  # two quotes
    return name[1:-1] if quoted else name


def _json(text: str) -> ClassNames:
    try:
        value = json.loads(text)
        if isinstance(value, dict):
            return by_id((int(number), str(name)) for number, name in value.items())
    except (ValueError, RecursionError) as error:
        raise ValueError("begins as JSON, and is neither a list of names nor names by class id") from error
    return ClassNames(tuple(map(str, value)), numbered=False)


def by_id(pairs: Iterable[tuple[int, str]]) -> ClassNames:
    """Names that say their class ids.

    Raises:
        ValueError: a class id comes twice, or is no usual one.
    """
    listed = list(pairs)
    names = dict(listed)
    if len(names) != len(listed):
        raise ValueError("names a class id twice")
    last = max(names, default=-1)
    if min(names, default=0) < 0 or last >= _MOST_CLASSES:
        raise ValueError(f"has class ids outside 0..{_MOST_CLASSES - 1}")
    return ClassNames(tuple(names.get(class_id, "") for class_id in range(last + 1)), numbered=True)


def _map_item(item: str) -> tuple[int, str]:
    fields = {name: number or single or double for name, number, single, double in _FIELD.findall(item)}
    if "id" not in fields or not {"name", "display_name"} & fields.keys():
        raise ValueError("has an item without id or name")
    return int(fields["id"]) - 1, fields.get("display_name") or fields["name"]


def _yaml(inline: str, below: str) -> ClassNames | None:
    """The value of ``names:``; None if it is no list and no mapping."""
    if inline.startswith(("[", "{")):
        opened = inline + below
        closed = opened.find("]" if inline[0] == "[" else "}")
        try:
            value = ast.literal_eval(opened[: closed + 1])
        except (
            ValueError,
            SyntaxError,
            RecursionError,
            MemoryError,
        ):  # names without quotes, as YAML has them
            value = [part.strip().strip("'\"") for part in opened[1:closed].split(",") if part.strip()]
            if inline[0] == "{":
                pairs = [part.partition(":") for part in value]
                value = {int(number): name.strip().strip("'\"") for number, _, name in pairs}
        if isinstance(value, dict):
            return by_id((int(number), str(name)) for number, name in value.items())
        return ClassNames(tuple(map(str, value)), numbered=False)
    entries = []
    for line in below.lstrip("\n").splitlines():
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            break
        entries.append((entry[1], entry[2].strip("'\"")))
    if inline or not entries:
        return None
    if all(number is not None for number, _ in entries):
        return by_id((int(number), name) for number, name in entries)
    return ClassNames(tuple(name for _, name in entries), numbered=False)
