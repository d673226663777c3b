"""The Ansible role against a machine that is reached by ssh, as a fleet is."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from system.machine import until
from system.roots import CACHE
from system.wheels import pip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from system.machine import Machine

_TOOLS = ("ansible-core==2.19.14", "ansible-lint==26.10.1")
_ROLE = "deploy/ansible"


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder with the programs of Ansible."""
    folder = CACHE / f"ansible-{hashlib.sha256(' '.join((sys.version, *_TOOLS)).encode()).hexdigest()[:12]}"
    if not (folder / "bin/ansible-lint").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", *_TOOLS], check=True, capture_output=True)
    return folder / "bin"


@pytest.fixture(scope="module")
def suite() -> str:
    """One system is enough: the installer is what differs, and it is tested on both."""
    return "trixie"


@pytest.fixture(scope="module")
def fleet(
    machine: Machine,
    checkouts: dict[str, Path],
    demo_models: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An inventory with the machine in it, and a key that it lets in."""
    folder = tmp_path_factory.mktemp("fleet")
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", str(folder / "key")], check=True)
    public = (folder / "key.pub").read_text()
    machine.run("install", "-d", "-m", "0700", "/root/.ssh")
    machine.run("install", "-m", "0600", "/dev/stdin", "/root/.ssh/authorized_keys", data=public)
    machine.run("install", "-D", "-m", "0644", "/src/models/demo.mp4", "/srv/demo.mp4")
    options = f"-i {folder / 'key'} -o StrictHostKeyChecking=no -o UserKnownHostsFile={folder / 'known'}"
    inventory = {
        "edged": {
            "hosts": {
                "lab1": {
                    "ansible_host": "127.0.0.1",
                    "ansible_user": "root",
                    "ansible_ssh_common_args": options,
                    "ansible_python_interpreter": "/usr/bin/python3",
                    "edged_wheelhouse": "/wheels",
                    "edged_models": [str(demo_models["sparse"])],
                    "edged_mqtt_password": "it's \\ a 'secret'",
                    "edged_common_settings": {
                        "EDGED_MODEL": f"/var/lib/edged/models/{demo_models['sparse'].name}",
                        "EDGED_SOURCE": "/srv/demo.mp4",
                        "EDGED_POLICY": "latest",
                        "EDGED_LOOP": True,
                        "EDGED_FPS": 2,
                    },
                    "edged_cameras": {"front": {}, "back": {"EDGED_ROTATE": 180}},
                }
            }
        }
    }
    (folder / "hosts.json").write_text(json.dumps(inventory))
    del checkouts
    return folder


@pytest.fixture(scope="module")
def later_wheel(
    checkouts: dict[str, Path], wheelhouses: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A later version as a wheel."""
    folder = tmp_path_factory.mktemp("later-wheel")
    packages = wheelhouses["bookworm"]
    pip("wheel", "--no-index", f"--find-links={packages}", f"--wheel-dir={folder}", str(checkouts["later"]))
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def play(
    machine: Machine, checkouts: dict[str, Path], tools: Path, fleet: Path, wheel: Path
) -> Iterator[Callable[..., dict[str, Any]]]:
    """Run the playbook; gives what it says of the machine."""

    def run(*, fails: bool = False, **variables: Any) -> dict[str, Any]:
        # Only the network is that of the machine, where ssh finds it on the loopback interface.
        command = ["nsenter", f"--target={machine.init}", "--net", str(tools / "ansible-playbook")]
        command += ["--inventory", str(fleet / "hosts.json"), "site.yml"]
        command += ["--extra-vars", json.dumps({"edged_wheel": str(wheel)} | variables)]
        done = subprocess.run(
            command,
            cwd=checkouts["src"] / _ROLE,
            env={"PATH": os.environ["PATH"], "HOME": str(fleet), "LC_ALL": "C.UTF-8"}
            | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        recap = done.stdout.rpartition("PLAY RECAP")[2].partition("lab1")[2].split("\n")[0]
        counts = {name: int(count) for name, _, count in (word.partition("=") for word in recap.split()[1:])}
        return counts | {"output": done.stdout}

    # The name of a socket must be short.
    with TemporaryDirectory(dir="/run") as sockets:
        yield run


def test_ansible_lint_finds_nothing(tools: Path, checkouts: dict[str, Path]) -> None:
    """The strictest profile passes."""
    found = subprocess.run(
        [str(tools / "ansible-lint"), "--offline", "--profile=production", "--strict"],
        cwd=checkouts["src"] / _ROLE,
        env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_it_installs_a_service_for_each_camera(machine: Machine, play: Callable[..., dict[str, Any]]) -> None:
    """One run, and both detect with settings of their own."""
    play()
    for camera in ("front", "back"):
        unit = f"edged@{camera}.service"
        assert machine.show(unit, "ActiveState") == "active"
        assert machine.run("systemctl", "is-enabled", unit) == "enabled"
        env_file = machine.run("cat", f"/etc/edged/{camera}.env")
        assert f"EDGED_NODE='lab1-{camera}'" in env_file
        assert ("EDGED_ROTATE='180'" in env_file) == (camera == "back")
        assert machine.run("cat", f"/etc/credstore/edged.{camera}.mqtt_password") == "it's \\ a 'secret'"


def test_a_second_run_changes_nothing(machine: Machine, play: Callable[..., dict[str, Any]]) -> None:
    """What is as it should be stays untouched."""
    processes = [machine.show(f"edged@{camera}.service", "MainPID") for camera in ("front", "back")]
    assert play()["changed"] == 0
    assert processes == [machine.show(f"edged@{camera}.service", "MainPID") for camera in ("front", "back")]


def test_new_settings_are_put_in_force_by_a_reload(
    machine: Machine, play: Callable[..., dict[str, Any]]
) -> None:
    """The process stays."""
    process = machine.show("edged@front.service", "MainPID")
    assert play(edged_settings={"EDGED_SCORE_THRESHOLD": 0.7})["changed"] == 2  # the files, and the reload
    until(lambda: '"reloaded"' in machine.journal("edged@front.service"), "the reload")
    assert machine.show("edged@front.service", "MainPID") == process


def test_wrong_settings_reach_no_machine(machine: Machine, play: Callable[..., dict[str, Any]]) -> None:
    """They are refused with the daemon's own words, and the file stays as it is."""
    before = machine.run("cat", "/etc/edged/front.env")
    told = play(fails=True, edged_settings={"EDGED_SCORE_THRESHOLD": 7, "EDGED_COLOUR": "red"})["output"]
    assert "there is no such setting" in told
    assert machine.run("cat", "/etc/edged/front.env") == before


def test_a_node_that_does_not_start_is_mended(machine: Machine, play: Callable[..., dict[str, Any]]) -> None:
    """Right settings are written, and put in force, though the service fails under the wrong ones."""
    play(edged_settings={"EDGED_SOURCE": "/srv/nothing.mp4"})
    for camera in ("front", "back"):
        assert machine.call("systemctl", "restart", f"edged@{camera}.service").returncode != 0
    play()
    for camera in ("front", "back"):
        until(partial(machine.is_active, f"edged@{camera}.service"), "a start")


def test_a_later_version_is_rolled_out_looked_at_and_taken_back(
    machine: Machine, play: Callable[..., dict[str, Any]], wheel: Path, later_wheel: Path
) -> None:
    """As docs/fleet.md has it for the first node; the way back is the same with the version before."""
    broker = {"edged_mqtt_broker": "127.0.0.1", "edged_settings": {"EDGED_STATS_INTERVAL": 1}}
    for made in (later_wheel, wheel):
        play(edged_wheel=str(made), **broker)
        told = json.loads(machine.run("edged", "fleet", "mqtt://127.0.0.1", "--json"))
        expected = [(f"lab1-{camera}", made.name.split("-")[1], "ok") for camera in ("back", "front")]
        assert sorted((one["node"], one["version"], one["condition"]) for one in told) == expected


def test_it_removes(machine: Machine, play: Callable[..., dict[str, Any]]) -> None:
    """edged_state: absent."""
    play(edged_state="absent")
    assert machine.units("edged*") == []
    assert not machine.path("/opt/edged").exists()
