"""What a release is made of is said in full, and the same sources make the same wheel."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from daemon import ROOT

from edged import __version__

if TYPE_CHECKING:
    from pathlib import Path

REQUIREMENTS = sorted((ROOT / "deploy/requirements").glob("*-py3*.txt"))


def bill(requirements: Path) -> str:
    command = [sys.executable, str(ROOT / "deploy/sbom.py"), str(requirements)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("requirements", REQUIREMENTS, ids=lambda path: path.stem)
def test_the_bill_of_materials_names_every_pinned_package_and_hash(requirements: Path) -> None:
    """In CycloneDX, by its own schema."""
    text = bill(requirements)
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    assert bill(requirements) == text
    document = json.loads(text)
    assert document["metadata"]["component"]["version"] == __version__
    pins = requirements.read_text(encoding="utf-8")
    assert len(document["components"]) == len(re.findall(r"^\S+==", pins, re.MULTILINE)) > 10
    told = [entry["content"] for part in document["components"] for entry in part["hashes"]]
    assert sorted(told) == sorted(re.findall(r"sha256:(\w+)", pins))


def test_the_same_sources_make_the_same_wheel(tmp_path: Path) -> None:
    """Wherever they lie, whoever builds them, whenever."""
    digests = set()
    for name, umask, zone in (("here", 0o022, "UTC"), ("elsewhere", 0o077, "Asia/Tokyo")):
        folder = tmp_path / name
        folder.mkdir()
        for part in ("edged", "models"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
            shutil.copy(ROOT / part, folder)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}/dist"]
        environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000", "TZ": zone}
        done = subprocess.run(
            [*command, str(folder)], env=environment, umask=umask, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        (wheel,) = (folder / "dist").glob("edged-*.whl")
        digests.add((wheel.name, hashlib.sha256(wheel.read_bytes()).hexdigest()))
    assert len(digests) == 1
