"""What is deployed: pinned requirements that fit the project, and scripts that say what is wrong."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
INSTALL = DEPLOY / "install.sh"
REQUIREMENTS = sorted((DEPLOY / "requirements").glob("*-py*.txt"))


def _pins(path: Path) -> dict[str, tuple[str, int]]:
    """By name: the version and the number of hashes."""
    pins: dict[str, tuple[str, int]] = {}
    for block in re.split(r"\n(?=\S)", path.read_text().strip()):
        name, version = re.match(r"(\S+)==(\S+)", block).groups()  # type: ignore[union-attr]  # fails the test
        pins[canonicalize_name(name)] = (version, len(re.findall(r"--hash=sha256:[0-9a-f]{64}", block)))
    return pins


def _install(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(INSTALL), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_requirements_are_those_of_the_project(path: Path) -> None:
    """Every dependency is pinned to a version that the project accepts; else deploy/requirements is old."""
    runtime, python = re.fullmatch(r"(.+)-py3(\d+)", path.stem).groups()  # type: ignore[union-attr]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    # A service is set by its env file alone: what EDGED_HTTP needs must be there.
    wanted = [Requirement(text) for text in (*project["dependencies"], *extras["http"])]
    if runtime == "tflite-runtime":
        wanted = [one for one in wanted if one.name != "ai-edge-litert"]
        wanted += [Requirement(text) for text in extras["tflite-runtime"]]
    environment = {"python_version": f"3.{python}", "platform_machine": "aarch64"}
    pins = _pins(path)
    for requirement in wanted:
        if requirement.marker is None or requirement.marker.evaluate(environment):
            version, _ = pins[canonicalize_name(requirement.name)]
            assert version in requirement.specifier
    assert runtime in pins


@pytest.mark.parametrize(
    "path", [*REQUIREMENTS, DEPLOY / "requirements/build.txt"], ids=lambda path: path.stem
)
def test_every_package_is_named_by_its_hash(path: Path) -> None:
    """Nothing is installed that was not looked at when the file was made, wherever it comes from."""
    assert all(hashes for _, hashes in _pins(path).values())
    assert "://" not in path.read_text()


@pytest.mark.parametrize(
    "path",
    sorted([*DEPLOY.rglob("*.sh"), *DEPLOY.glob("debian/files/p*inst"), *DEPLOY.glob("debian/files/p*rm")]),
    ids=lambda path: path.name,
)
def test_shellcheck_finds_nothing(path: Path) -> None:
    """No warning in any script."""
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    found = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True, check=False)
    assert found.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--colour"], "there is no option '--colour'"),
        (["--runtime"], "--runtime needs a value"),
        (["--runtime", "torch"], "there is no runtime 'torch'"),
        (["--wheel", "/none.whl"], "there is no wheel '/none.whl'"),
        (["--wheelhouse", "/none"], "there is no folder '/none'"),
        (["--instance", "Front Door"], "the instance 'Front Door' cannot be named so"),
        (["--instance", "edged"], "the instance cannot be named edged"),
        (["--purge"], "--purge belongs to uninstall"),
        (["--dry-run", "--python", "python2.0"], "there is no program 'python2.0'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_installer_says_what_is_wrong(arguments: list[str], told: str) -> None:
    """A mistake is told in one sentence, before anything is changed."""
    if shutil.which("systemctl") is None:
        pytest.skip("there is no systemd here")
    answer = _install(*arguments)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"install.sh: {told}")


def test_the_installer_explains_itself() -> None:
    """--help names every option that the script takes."""
    told = _install("--help").stdout
    parser = INSTALL.read_text().partition("parse_options() {")[2].partition("\n}")[0]
    options = {
        option
        for case in re.findall(r"^      ([-a-z| ]+)\)", parser, re.MULTILINE)
        for option in re.findall(r"--[a-z-]+", case)
    }
    assert {"--instance", "--coral", "--dry-run", "--purge"} <= options
    assert all(option in told for option in options)
