"""A reload of a name while the daemon holds a port of its own."""

from __future__ import annotations

import json
import signal
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import rig
from daemon import EDGED, Daemon

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["EDGED_CAMERA", "EDGED_NODE"])
def test_a_name_is_reloaded_while_the_page_is_open(tmp_path: Path, demo_model: Path, name: str) -> None:
    """The site that listens is the same: its port is not in use by somebody else."""
    page = f"127.0.0.1:{rig.free_port()}"
    settings = {
        "EDGED_SOURCE": "synthetic:?width=64&height=64&fps=10",
        "EDGED_MODEL": str(demo_model),
        "EDGED_HTTP": page,
        "EDGED_LOG_FORMAT": "json",
        "EDGED_CAMERA": "front",
        "EDGED_NODE": "lab1",
    }

    def live() -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{page}/live.json", timeout=20) as answer:
            content: dict[str, Any] = json.loads(answer.read())
        return content

    command = ("env", "-u", "EDGED_CAMERA", "-u", "EDGED_NODE", *EDGED, "run")
    with Daemon(tmp_path, settings, command=command) as daemon:
        daemon.until_told("running")
        daemon.until(lambda: daemon.told("live_view"))
        daemon.configure({**settings, name: "renamed"})
        daemon.send(signal.SIGHUP)
        daemon.until(lambda: daemon.told("reloaded") or daemon.told("reload_refused"))
        assert not daemon.told("reload_refused")
        before = live()["results"]
        daemon.until(lambda: live()["results"] > before)
        assert live()["title"] == ("renamed on lab1" if name == "EDGED_CAMERA" else "front on renamed")
        assert daemon.stop() == 0
