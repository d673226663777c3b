"""What runs of the command line begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def settings(demo_model: Path, demo_clip: Path, tmp_path: Path) -> dict[str, str]:
    """Settings that work, with two outputs."""
    return {
        "EDGED_MODEL": str(demo_model),
        "EDGED_SOURCE": str(demo_clip),
        "EDGED_OUTPUT": str(tmp_path / "out.mp4"),
        "EDGED_JSONL": str(tmp_path / "lines.jsonl"),
    }
