"""What is in deploy/ for containers fits the API of Kubernetes, the image and the settings that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml
from daemon import ROOT

from edged.settings import tables

DEPLOY = ROOT / "deploy"
KUBERNETES = ("1.27", "1.31", "1.35")
"""Versions of the API, oldest and newest, that k3s machines have today."""
IMAGE = (DEPLOY / "image/build.sh").read_text(encoding="utf-8")


@pytest.fixture(params=["base", "devices"])
def resources(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """By kind, as kubectl would send them."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed (apt install kubernetes-client)")
    command = ["kubectl", "kustomize", str(DEPLOY / "kubernetes" / request.param)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    found = {one["kind"]: one for one in yaml.safe_load_all(made.stdout)}
    assert found.keys() == {"Namespace", "ConfigMap", "DaemonSet"}
    return found


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_api_takes_them(resources: dict[str, dict[str, Any]], version: str) -> None:
    for resource in resources.values():
        kubernetes_validate.validate(resource, version, strict=True)


def test_the_env_file_in_the_map_can_be_loaded(resources: dict[str, dict[str, Any]]) -> None:
    known = {setting.name for setting in tables.declarations()}
    text = resources["ConfigMap"]["data"]["edged.env"]
    assert set(re.findall(r"^(\w+)=", text, re.MULTILINE)) <= known


def test_what_is_mounted_is_there_and_the_probes_are_in_the_image(
    resources: dict[str, dict[str, Any]],
) -> None:
    pod = resources["DaemonSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }
    for probe in ("startupProbe", "livenessProbe"):
        (command,) = container[probe]["exec"]["command"]
        assert f"{command.rpartition('/')[2]}" in {path.name for path in (DEPLOY / "image").iterdir()}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert "10001:10001" in IMAGE
    assert resources["ConfigMap"]["metadata"]["name"] in {
        volume.get("configMap", {}).get("name") for volume in pod["volumes"]
    }, "without a suffix, so that running pods see a change"


def test_the_compose_file_names_what_is_there() -> None:
    compose = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text(encoding="utf-8"))
    edged = compose["services"]["edged"]
    assert set(edged["environment"]) <= {setting.name for setting in tables.declarations()}
    assert edged["healthcheck"]["test"] == ["CMD", "/usr/bin/edged-health"]
    assert edged["read_only"]
    named = {
        volume.split(":")[0] for service in compose["services"].values() for volume in service["volumes"]
    }
    assert {name for name in named if not name.startswith("./")} == set(compose["volumes"])
    assert (DEPLOY / "compose/mosquitto.conf").is_file()
