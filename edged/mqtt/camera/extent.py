"""How much of a camera is published."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a camera is published."""

    empty: bool = True
    """Whether frames without detections are."""
    labels: tuple[str, ...] = ()
    """Those that are counted from the start; empty: those that turn up."""
    snapshot_interval_s: float = 0.0
    """Between pictures; 0: only on command."""
    zones: tuple[str, ...] = ()
    """By name."""
    lines: tuple[str, ...] = ()
    """By name."""
    tracks: bool = False
    """Whether objects are followed, so that there are events."""
    snapshots: bool = False
    """Whether there are pictures."""
    page: str = ""
    """URL of its page; empty where there is none."""
