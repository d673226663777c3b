"""The fake Edge TPU for every test here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from coral_rig import Plug, build

from edged.engines.coral.edgetpu import TpuAccess

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libedgetpu that needs no hardware."""
    return build(tmp_path_factory.mktemp("edgetpu"))


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plug:
    """One device, plugged in."""
    plug = Plug(tmp_path / "plug")
    plug.put()
    monkeypatch.setenv("FAKE_EDGETPU", str(plug.path))
    return plug


@pytest.fixture
def access(library: Path, plug: Plug) -> TpuAccess:
    """How the device is reached."""
    assert plug.path.exists()
    return TpuAccess(library=str(library), invoke_timeout_s=2.0)
