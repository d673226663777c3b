"""What the settings say of where to look, for the page that draws it; no passwords, no paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edged.settings import cameras
from edged.settings.field import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edged.settings.areas import Area
    from edged.settings.declared import Settings


def setup(settings: Settings) -> dict[str, Any]:
    """Zones, lines, masks, region, scores and sizes of one camera, and how its settings begin."""
    return {
        "prefix": cameras.of_camera(PREFIX, settings.camera) if settings.several else PREFIX,
        "shared": PREFIX,
        "zone": _areas(settings.zone),
        "line": _areas(settings.line),
        "mask": _areas(settings.mask),
        "roi": settings.roi,
        "score_threshold": settings.score_threshold,
        "scores": dict(settings.scores),
        "areas": {label: [least, most] for label, least, most in settings.areas},
        "labels": settings.classes,
        "tracks": settings.track,
    }


def _areas(areas: Iterable[Area]) -> list[dict[str, Any]]:
    return [
        {"name": area.name, "points": area.points, "labels": sorted(area.labels), "dwell": area.dwell_s}
        for area in areas
    ]
