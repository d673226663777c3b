"""A live view that is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from viewing import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.sinks.http import HttpSink


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    """A live view for this machine."""
    with serving() as opened:
        yield opened
