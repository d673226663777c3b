"""One line of JSON for all news of an object: the event payload of the MQTT contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import structlog

from edged.contract import event_lines, event_messages, payloads
from edged.errors import SinkError
from edged.sinks.lines import LineFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.contract.event_messages import EventMessage
    from edged.records import Event, Result
    from edged.settings.declared import Settings
    from edged.sinks import Context

log = structlog.get_logger()

_LOOK_BACK = 4 << 20
"""Bytes at the end of the file in which events of a run that was killed are looked for."""


class EventLinesSink:
    """Events as lines. Events of a killed run that the file leaves open get their end when it is opened.

    Args:
        target: path, or ``-`` for standard output.
        boot_id: identity of this run, for the payload.
        camera: its name, for the payload.
        forgiving: as for :meth:`LineFile.open`.
    """

    name = "events"
    only_events: Literal[True] = True

    def __init__(self, target: str, *, boot_id: str, camera: str = "camera", forgiving: bool = False) -> None:
        self._file = LineFile(target, "EDGED_EVENTS_JSONL")
        self._boot_id = boot_id
        self._camera = camera
        self._forgiving = forgiving

    @classmethod
    def create(cls, settings: Settings, context: Context) -> EventLinesSink:
        """As ``EDGED_EVENTS_JSONL`` says."""
        assert settings.events_jsonl is not None  # noqa: S101  # the registry asks only if it is set
        return cls(
            settings.events_jsonl, boot_id=context.boot_id, camera=settings.camera, forgiving=context.starting
        )

    def open(self) -> None:
        """Open the file, or create it.

        Raises:
            SinkError: it cannot be read or written, and nothing is forgiven.
        """
        self._file.open(forgiving=self._forgiving)
        try:
            self._end_left_open()
        except SinkError as error:
            if not self._forgiving:
                raise
            log.warning("events_left_open", reason=str(error))

    def send(self, result: Result) -> None:
        """A frame is no news."""

    def tell(self, events: Sequence[Event]) -> None:
        """Write a line for each, all or none: what was not taken comes again."""
        told = (event_messages.told(one, camera=self._camera, boot_id=self._boot_id) for one in events)
        self._file.write(b"\n".join(one.json for one in told))

    def close(self) -> None:
        """Close what is ours to close; a file that was made for nothing goes."""
        self._file.close()

    def _end_left_open(self) -> None:
        try:
            left = self._left_open()
        except OSError as error:
            raise SinkError(
                f"the output {str(self._file.path)!r} cannot be read: {error.strerror}",
                hint="Give the user of edged the right to read it: events that a killed run has left open "
                "get their end",
            ) from error
        if left:
            ends = (event_messages.cut_short(last, boot_id=self._boot_id) for last in left)
            self._file.write(b"\n".join(map(payloads.encode, ends)))

    def _left_open(self) -> list[EventMessage]:
        """The last news of events of this camera that an earlier run has not ended."""
        path = self._file.path
        left: dict[str, EventMessage] = {}
        if path is not None and path.is_file():
            for message in event_lines.last(path, _LOOK_BACK):
                if message["camera"] == self._camera:
                    left[message["event_id"]] = message
        # What this run has begun goes on, as over a reload.
        return [one for one in left.values() if one["type"] != "end" and one["boot_id"] != self._boot_id]
