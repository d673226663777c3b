"""Settings of a daemon in a process of its own, and a service manager that listens to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from daemon import Ear
from service_parts import FOR_EVER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def settings(demo_model: Path, tmp_path: Path) -> dict[str, str]:
    """A file that never ends, the demo's model, lines to another file."""
    return {
        "EDGED_SOURCE": FOR_EVER,
        "EDGED_MODEL": str(demo_model),
        "EDGED_JSONL": str(tmp_path / "lines.jsonl"),
        "EDGED_THREADS": "1",
        "EDGED_STATS_INTERVAL": "1",
        "EDGED_STOP_TIMEOUT": "5",
    }


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    """A service manager without a watchdog."""
    with Ear(str(tmp_path / "notify")) as listening:
        yield listening
