"""A sink that keeps what it gets: for tests, and for programs that build a pipeline of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edged.records import Result


class MemorySink:
    """Keeps every result in ``results``, without a bound."""

    name = "memory"

    def __init__(self) -> None:
        self.results: list[Result] = []

    def open(self) -> None:
        """Nothing to open."""

    def send(self, result: Result) -> None:
        """Keep the result."""
        self.results.append(result)

    def close(self) -> None:
        """Results stay."""
