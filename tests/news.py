"""News of an object, for tests of what is done with it."""

from __future__ import annotations

from edged.records import Box, Event


def news(number: int, kind: str) -> Event:
    """That object ``number`` starts, is updated or ends, a person without a picture."""
    box = Box(0, 0, 9, 9)
    return Event(
        kind, f"{number:016x}", (), "", number, "person", 0.9, 0.9, box, box, 160, 120, 1e9, 1e9, None, 1.0,
        False, (), (), {}, (), (), None,
    )  # fmt: skip
