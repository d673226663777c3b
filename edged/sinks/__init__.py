"""Sinks take results: video, lines of JSON, MQTT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edged import registry

if TYPE_CHECKING:
    from edged.config import Settings
    from edged.records import Result


class Sink(Protocol):
    """A consumer of results, with a bounded queue and a thread of its own in the pipeline.

    ``open`` comes first, then ``send`` for one result after the other from one thread, ``close`` last.
    """

    name: str
    """How logs, metrics and the state topic call it: ``video``, ``jsonl``, ``mqtt``."""

    def open(self) -> None:
        """Make sure that results can be taken.

        Raises:
            SinkError: the output cannot be opened.
        """
        ...

    def send(self, result: Result) -> None:
        """Take one result; blocks while the output is slow.

        Raises:
            SinkError: this result was not taken.
        """
        ...

    def close(self) -> None:
        """Flush what was taken and free everything."""
        ...
