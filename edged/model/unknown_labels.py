"""Labels that settings name and that the model does not find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from edged.settings.declared import Settings


def required(settings: Settings, labels: Sequence[str]) -> list[str]:
    """Those without which there is nothing to look for, or to look closer at: a sentence each."""
    wanted: dict[str, Sequence[str]] = {
        "CLASSES": settings.classes,
        "CLASSIFY": [label for label, _ in settings.classify],
    }
    return [*_unknown(wanted, labels)]


def harmless(settings: Settings, labels: Sequence[str]) -> list[str]:
    """Those that only never come: a sentence each. Another model may know them."""
    wanted: dict[str, Sequence[str]] = {
        "SCORES": [label for label, _ in settings.scores],
        "AREAS": [label for label, _, _ in settings.areas],
        "EVENT_LABELS": settings.event_labels,
    }
    for kind, areas in (("ZONE", settings.zone), ("LINE", settings.line), ("MASK", settings.mask)):
        wanted |= {f"{kind}_{area.name.upper()}": sorted(area.labels) for area in areas}
    return [*_unknown(wanted, labels)]


def _unknown(wanted: Mapping[str, Iterable[str]], labels: Sequence[str]) -> Iterator[str]:
    for setting, names in wanted.items():
        for name in names:
            if not labels or name in labels:
                continue
            near = nearest(name, labels)
            question = f"; did you mean {near!r}?" if near else ""
            yield f"EDGED_{setting} names {name!r}, which the model cannot find{question}"
