"""A reload of a daemon that is served here: what it tries again, and what a refused one takes back."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from loaded import load
from structlog.testing import capture_logs
from waiting import until

from edged.daemon import logs, service
from edged.daemon.switches import Switches
from edged.settings import loading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edged.settings.declared import Settings

LIVE = "synthetic:?width=64&height=64&fps=20"


def reload(
    settings: Sequence[Settings], meanwhile: Callable[[], object], following: Sequence[Settings], event: str
) -> None:
    """Serve, do something as soon as a camera runs, read ``following``, and stop after the ``event``."""

    def told(sought: str) -> bool:
        return any(line["event"] == sought for line in lines)

    async def live() -> None:
        served = asyncio.create_task(service.serve(settings, reread=lambda: following))
        await until(lambda: told("running") or served.done())
        if not served.done():  # else nobody would take the signals
            meanwhile()
            signal.raise_signal(signal.SIGHUP)
            await until(lambda: told(event))
            signal.raise_signal(signal.SIGTERM)
        await served

    with pytest.MonkeyPatch.context() as patch, capture_logs() as lines:
        patch.setattr(logs, "follow", lambda _: None)  # what is captured here is not written
        asyncio.run(live())


def test_what_has_failed_is_tried_again_at_once(
    demo_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it would wait otherwise: somebody may have mended it."""
    for name in ("_FIRST_S", "_MOST_S"):
        monkeypatch.setattr(f"edged.daemon.retries.{name}", 7200.0)
    written = tmp_path / "later" / "front.jsonl"
    environ = {
        "EDGED_CAMERAS": "front,back",
        "EDGED_MODEL": str(demo_model),
        "EDGED_SOURCE": LIVE,
        "EDGED_FRONT_JSONL": str(written),
    }
    settings = loading.load_all(environ=environ)
    reload(settings, written.parent.mkdir, settings, "camera_tried_again")
    assert written.exists()


def test_what_was_switched_is_taken_back_with_a_reload_that_is_refused(
    demo_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Switches] = []

    class Noted(Switches):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr("edged.daemon.camera.Switches", Noted)
    settings = load(EDGED_SOURCE=LIVE, EDGED_MODEL=str(demo_model), EDGED_SCORE_THRESHOLD="0.5")
    wrong = settings.model_copy(update={"model": Path("/nowhere.tflite")})
    reload([settings], lambda: made[0].put("threshold", "0.9"), [wrong], "reload_refused")
    assert made[0].over(settings).score_threshold == 0.5
