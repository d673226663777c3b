"""What there is to show of each camera, and who may look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edged.http.events import EventLog, now_us
from edged.http.exported import Exported
from edged.http.guesses import Guesses
from edged.http.history import History
from edged.http.live import Figures
from edged.http.newest import NewestPicture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edged.http.access import Guard
    from edged.video.archive import Archive
    from edged.video.relay import Relay


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a camera, whatever its settings: who looks goes on looking over a reload."""

    relay: Relay
    newest: NewestPicture = field(default_factory=NewestPicture)
    figures: Figures = field(default_factory=Figures)
    exported: Exported = field(default_factory=Exported)
    events: EventLog = field(default_factory=EventLog)
    history: History = field(default_factory=History)

    def close(self) -> None:
        """Send everybody home. In the event loop."""
        self.newest.close()
        self.relay.close()


@dataclass(frozen=True, slots=True)
class View:
    """What there is to show of one camera with its present settings."""

    title: str
    setup: Mapping[str, Any]
    """What its settings say of where to look, as JSON has it."""
    archive: Archive | None
    """What is recorded of it; None where that is no folder."""
    kept: Kept
    has_video: bool = False
    """Whether the camera may have video of its own to show; browsers do not play all of it."""


@dataclass(frozen=True, slots=True)
class Display:
    """What there is to show, and who may look."""

    title: str
    access: Guard
    views: dict[str, View]
    """By camera; the only one is called nothing."""
    several: bool
    most_viewers: int = 8
    guesses: Guesses = field(default_factory=Guesses)
    began_us: int = field(default_factory=now_us)
    """Another number is another run, which knows nothing of the events before."""
