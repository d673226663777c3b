"""What earlier runs have told of events, from the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from edged.contract import event_lines, event_messages

if TYPE_CHECKING:
    from pathlib import Path

    from edged.contract.event_messages import EventMessage
    from edged.http.events import EventLog
    from edged.video.archive import Archive

_LOOK_BACK = 1 << 20
"""Bytes at the end of the lines: with some messages each, more than 300 events."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Past:
    """Lines of events, and pictures beside segments.

    Args:
        lines: what EDGED_EVENTS_JSONL names; several cameras may share it.
        camera: whose events are wanted.
        boot_id: identity of this run.
        archive: the camera's segments; None where there are none.
    """

    lines: Path
    camera: str
    boot_id: str
    archive: Archive | None

    def tell(self, events: EventLog) -> None:
        """Have ``events`` know of those before. Blocks as long as the disk does; what goes wrong is told."""
        last: dict[str, EventMessage] = {}
        try:
            if not self.lines.is_file():  # a pipe has another reader, who must not lose lines to us
                return
            for message in event_lines.last(self.lines, _LOOK_BACK):
                if message["camera"] == self.camera and _is_whole(message):
                    last[message["event_id"]] = message
        except OSError as error:
            log.warning("events_not_recalled", path=str(self.lines), reason=str(error))
        before = [self._ended(message) for message in last.values()]
        pictures = self.archive.pictures(last) if self.archive is not None else {}
        events.recall(before, pictures)

    def _ended(self, message: EventMessage) -> EventMessage:
        """What a killed run has left open goes on no more."""
        if message["type"] == "end" or message["boot_id"] == self.boot_id:
            return message
        return event_messages.cut_short(message, boot_id=self.boot_id)


def _is_whole(message: EventMessage) -> bool:
    """Whether a line has what the page shows, beyond what makes it an event."""
    dwell, end = message.get("dwell_s"), message.get("end_time")
    numbers = (message.get("start_time"), message.get("top_score"), message.get("sub_score", 0))
    return (
        isinstance(dwell, dict)
        and all(event_lines.is_number(value) for value in (*numbers, *dwell.values()))
        and (end is None or event_lines.is_number(end))
        and isinstance(message.get("stationary"), bool)
    )
