"""The package from a wheel, far from the checkout: what it needs travels with it."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from daemon import ROOT, environment

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
HOME = "import edged, pathlib; print(pathlib.Path(edged.__file__).parent)"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the checkout as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("edged-*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel; libraries are those of this environment."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()
    subprocess.run(
        [*PIP, "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
        check=True,
        timeout=120,
    )
    # After its own packages, so that this edged is found and not the one of the checkout.
    borrowed = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    Path(site, "zz_borrowed.pth").write_text("\n".join(borrowed) + "\n", encoding="utf-8")
    return folder / "bin"


def run(programs: Path, *command: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    surroundings = environment(**settings)
    del surroundings["PYTHONPATH"]
    return subprocess.run(
        [str(programs / command[0]), *command[1:]],
        env=surroundings,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_wheel_carries_what_it_needs_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
    assert len(licences) == 1
    assert all(name.startswith("edged/") for name in names)
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "edged").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {name for name in names if not name.startswith("edged/models/")} >= expected
    carried = {name.removeprefix("edged/models/") for name in names if name.startswith("edged/models/")}
    assert {"catalog.toml", "demo.mp4", "coco_labels80.txt", "coco_labels90.txt"} <= carried
    assert not any(name.endswith((".pyc", ".tflite")) for name in names)
    assert wheel.stat().st_size < 2_000_000


def test_it_is_the_installed_package_that_runs(programs: Path, tmp_path: Path) -> None:
    done = run(programs, "python", "-c", HOME, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(programs.parent) in done.stdout


def test_the_catalog_travels_with_it(programs: Path, tmp_path: Path) -> None:
    done = run(programs, "edged", "models", "list", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "blazeface-full-range" in done.stdout
    assert "Apache-2.0" in done.stdout


def test_the_env_file_is_printed_anywhere(programs: Path, tmp_path: Path) -> None:
    done = run(programs, "edged", "env", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "EDGED_SOURCE=" in done.stdout


def test_labels_and_clip_travel_with_it_and_the_daemon_runs(
    programs: Path, demo_model: Path, tmp_path: Path
) -> None:
    home = Path(run(programs, "python", "-c", HOME, cwd=tmp_path).stdout.strip())
    assert (home / "models" / "coco_labels80.txt").read_text(encoding="utf-8").count("\n") == 80
    done = run(
        programs,
        "edged",
        "run",
        cwd=tmp_path,
        EDGED_SOURCE=str(home / "models" / "demo.mp4"),
        EDGED_MODEL=str(demo_model),
        EDGED_OUTPUT="out.mp4",
        EDGED_JSONL="lines.jsonl",
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "lines.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["frame_id"] for line in lines] == list(range(200))
    assert any(json.loads(line)["detections"] for line in lines)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lines.jsonl", "out.mp4"]


def test_it_is_typed(wheel: Path) -> None:
    """The classifier says so, and type checkers look for the marker."""
    with zipfile.ZipFile(wheel) as archive:
        assert "edged/py.typed" in archive.namelist()
