"""Settings as tests load them, and what is said of those that are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edged.errors import ConfigError
from edged.settings import loading

if TYPE_CHECKING:
    from pathlib import Path

    from edged.settings.declared import Settings

REQUIRED = {"EDGED_SOURCE": "clip.mp4", "EDGED_MODEL": "model.tflite"}
SECRET = "hunter2"  # noqa: S105  # the word that must show up nowhere


def load(**environ: str) -> Settings:
    """Settings of an environment with what is required."""
    return loading.load(None, REQUIRED | environ)


def load_file(tmp_path: Path, text: str, **environ: str) -> Settings:
    file = tmp_path / "edged.env"
    file.write_text(text, encoding="utf-8")
    return loading.load(file, environ)


def refused(**environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**environ)
    return str(caught.value)
