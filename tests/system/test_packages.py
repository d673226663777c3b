"""The life of the package on Debian 12 and 13: from a repository, used, upgraded, removed, purged."""

from __future__ import annotations

import filecmp
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from system.installed import DATA, ENV_FILE, UNIT, await_state, configure, files, install, main_pid
from system.machine import until
from system.packaging import build
from system.roots import HERE, PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from system.broker import Broker
    from system.machine import Machine

DEBIAN = {"bookworm": "12", "trixie": "13"}


@pytest.fixture(scope="module")
def packages(
    suite: str,
    checkouts: dict[str, Path],
    wheelhouses: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """The package of this version, and that of a later one."""

    def make(checkout: str) -> Path:
        return build(checkouts[checkout], suite, wheelhouses[suite], tmp_path_factory.mktemp(checkout))

    with ThreadPoolExecutor() as pool:
        names = ("src", "later")
        return dict(zip(names, pool.map(make, names), strict=True))


@pytest.fixture(scope="module")
def repository(packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that apt takes packages from, signed by a key that lives as long as this test."""
    folder = tmp_path_factory.mktemp("repository")
    folder.chmod(0o755)
    keys = tmp_path_factory.mktemp("keys")
    keys.chmod(0o700)
    environment = os.environ | {"GNUPGHOME": str(keys)}
    make_key = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "test@example.org"]
    subprocess.run(make_key, env=environment, check=True, capture_output=True)
    script = str(PROJECT / "deploy/debian/repository.sh")
    command = [script, str(folder), "test@example.org", *map(str, packages.values())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=environment, check=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def shares(
    checkouts: dict[str, Path], wheelhouses: dict[str, Path], suite: str, repository: Path
) -> dict[str, Path]:
    """What a machine sees of this one."""
    return {
        "/src": checkouts["src"],
        "/wheels": wheelhouses[suite],
        "/tests": HERE,
        "/repository": repository,
    }


@pytest.fixture(scope="module")
def before(machine: Machine, broker: Broker, suite: str) -> set[str]:
    """The files of a machine that edged has never been on, whose apt knows the repository and no network."""
    del broker
    machine.run("find", "/etc/apt", "(", "-name", "*.list", "-o", "-name", "*.sources", ")", "-delete")
    line = f"deb [signed-by=/repository/edged.gpg] file:/repository/{suite} ./\n"
    machine.path("/etc/apt/sources.list.d/edged.list").write_text(line)
    machine.run("apt-get", "-q", "update")
    return files(machine)


def apt(machine: Machine, *arguments: str) -> str:
    """What an administrator does who does not want to be asked."""
    return machine.run(
        "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", *arguments, timeout=600
    )


def version(suite: str, upstream: str) -> str:
    """The package's."""
    return f"edged={upstream}-1+deb{DEBIAN[suite]}"


def upstream(machine: Machine) -> str:
    """The version of this checkout."""
    return machine.run("sh", "-c", "sed -n 's/__version__ = \"\\(.*\\)\"/\\1/p' /src/edged/__init__.py")


@pytest.fixture(scope="module")
def lintian(suite: str, packages: dict[str, Path]) -> Iterator[subprocess.Popen[str] | None]:
    """It takes more than a minute, and there is other work meanwhile. One is enough, that of this machine."""
    if suite != "bookworm":
        yield None
        return
    # What is not compressed here is so for the sake of time.
    options = [
        "--suppress-tags",
        "uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball",
    ]
    command = ["lintian", *options, str(packages["src"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        yield process
        process.kill()


def test_apt_installs_what_waits_for_its_settings(
    machine: Machine, suite: str, models: dict[str, str], lintian: object
) -> None:
    """After the installation nothing runs, nothing is enabled, and nothing fails."""
    del models, lintian
    current = upstream(machine)
    apt(machine, "install", version(suite, current))
    assert machine.run("edged", "--version") == f"edged {current}"
    assert machine.call("systemctl", "is-enabled", UNIT).stdout.strip() == "disabled"
    machine.run("systemctl", "start", "multi-user.target")
    assert machine.show(UNIT, "ActiveState") == "inactive"
    assert "edged" not in machine.run("systemctl", "--failed", "--plain", "--no-legend")
    assert machine.run("stat", "-c", "%a %U:%G", ENV_FILE) == "640 root:edged"
    assert machine.run("id", "-nG", "edged").split()[0] == "edged"
    assert {"video", "plugdev"} <= set(machine.run("id", "-nG", "edged").split())
    machine.run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", UNIT, "edged@front.service")
    assert machine.show(UNIT, "Type") == ("notify-reload" if suite == "trixie" else "notify")
    assert machine.run("dpkg", "--verify", "edged") == ""
    for page in ("man1/edged.1.gz", "man5/edged.env.5.gz"):
        assert "EDGED" in machine.run("zcat", f"/usr/share/man/{page}").upper()


def test_it_detects(machine: Machine, broker: Broker, models: dict[str, str]) -> None:
    """Source, model and broker in the env file, enabled and started, and detections arrive."""
    machine.run("install", "-m", "0644", "/etc/mosquitto/certs/edged-ca.crt", "/etc/edged/broker.crt")
    machine.run("install", "-D", "-m", "0600", "/dev/stdin", "/etc/credstore/edged.mqtt_password",
                data=broker.password("lab1"))  # fmt: skip
    settings(machine, models)
    machine.run("systemctl", "enable", "--now", UNIT)
    await_state(broker, lifecycle="running")
    broker.detections(count=1)


def settings(machine: Machine, models: dict[str, str]) -> None:
    """A camera that never ends, and a broker."""
    configure(
        machine,
        SOURCE="/srv/models/demo.mp4",
        LOOP="true",
        POLICY="latest",
        MODEL=models["sparse"],
        OUTPUT=f"{DATA}/video",
        SPOOL=f"{DATA}/spool",
        MQTT_URL="mqtts://lab1@127.0.0.1",
        MQTT_CA="/etc/edged/broker.crt",
        MQTT_PASSWORD_FILE="/run/credentials/edged.service/mqtt_password",  # noqa: S106  # a path
        NODE="lab1",
    )


def test_an_upgrade_while_the_camera_runs(machine: Machine, broker: Broker) -> None:
    """The new version runs in the place of the old one, with the old settings, and nobody is asked."""
    kept, process = machine.run("cat", ENV_FILE), main_pid(machine)
    apt(machine, "upgrade")
    assert await_state(broker, lifecycle="running")["version"] == "99.0"
    assert main_pid(machine) != process
    assert machine.run("cat", ENV_FILE) == kept
    broker.detections()
    assert machine.run("dpkg", "--verify", "edged").endswith(ENV_FILE), "only the settings were changed"


def test_the_way_back_while_the_broker_is_away(machine: Machine, suite: str, broker: Broker) -> None:
    """The version before in the place of the later one: with its settings, its video and what is unsent."""
    kept, process = machine.run("cat", ENV_FILE), main_pid(machine)
    recorded = set(machine.run("find", f"{DATA}/video", "-name", "*.mp4").splitlines())
    machine.run("systemctl", "stop", "mosquitto")
    until(lambda: "mqtt_disconnected" in machine.journal(UNIT), "the loss of the broker")
    apt(machine, "install", "--allow-downgrades", version(suite, upstream(machine)))
    until(lambda: "mqtt_spool_recovered" in machine.journal(UNIT), "what the later version has not sent")
    machine.run("systemctl", "start", "mosquitto")
    assert await_state(broker, lifecycle="running", version=upstream(machine))
    assert main_pid(machine) != process
    assert machine.run("cat", ENV_FILE) == kept
    assert recorded
    assert recorded <= set(machine.run("find", f"{DATA}/video", "-name", "*.mp4").splitlines())
    broker.detections()


def test_remove_leaves_settings_and_data(machine: Machine, before: set[str]) -> None:
    """As Debian has it: what was configured and what was recorded stays."""
    apt(machine, "remove", "edged")
    assert machine.units("edged*") == []
    left = {path for path in files(machine) - before if not path.startswith(("/var/lib/dpkg", "/srv/models"))}
    assert ENV_FILE in left
    assert any(path.endswith(".mp4") for path in left)
    kept = ("/etc/edged", DATA, "/etc/credstore", "/etc/systemd/system/multi-user.target.wants/edged.service")
    assert not {path for path in left if not path.startswith(kept)}


def test_installed_again_it_goes_on(machine: Machine, broker: Broker) -> None:
    """With the settings that were left."""
    apt(machine, "install", "edged")
    machine.run("systemctl", "start", UNIT)
    assert await_state(broker, lifecycle="running")["version"] == "99.0"


def test_purge_leaves_nothing(machine: Machine, before: set[str]) -> None:
    """Neither a file nor the account."""
    apt(machine, "purge", "edged")
    left = {
        path
        for path in files(machine) - before
        if not path.startswith(("/var/lib/dpkg/info/", "/srv/models"))
    }
    assert {path for path in left if "edged" in path} == set()
    assert "/opt" in files(machine), "that one is the system's"
    assert machine.call("getent", "passwd", "edged").returncode != 0
    assert machine.call("getent", "group", "edged").returncode != 0
    assert machine.units("edged*") == []
    assert machine.call("dpkg-query", "-W", "edged").returncode != 0


def test_it_takes_over_from_the_installer(
    machine: Machine, broker: Broker, before: set[str], models: dict[str, str]
) -> None:
    """What install.sh has set up goes on as a package, with its settings; then install.sh keeps off."""
    del before
    install(machine, "/src", "--no-start")
    machine.run("install", "-m", "0644", "/etc/mosquitto/certs/edged-ca.crt", "/etc/edged/broker.crt")
    machine.run("install", "-D", "-m", "0600", "/dev/stdin", "/etc/credstore/edged.mqtt_password",
                data=broker.password("lab1"))  # fmt: skip
    settings(machine, models)
    machine.run("systemctl", "enable", "--now", UNIT)
    await_state(broker, lifecycle="running")
    kept = machine.run("cat", ENV_FILE)
    apt(machine, "install", "edged")
    assert await_state(broker, lifecycle="running")["version"] == "99.0"
    assert machine.run("cat", ENV_FILE) == kept
    assert machine.run("systemctl", "is-enabled", UNIT) == "enabled"
    assert machine.run("find", "/usr/local", "-name", "*edged*") == ""
    assert machine.call("test", "-e", "/opt/edged/releases").returncode != 0
    assert machine.show(UNIT, "FragmentPath").endswith(f"/lib/systemd/system/{UNIT}")
    refused = machine.call("/src/deploy/install.sh", "--wheelhouse", "/wheels")
    assert refused.returncode != 0
    assert "apt" in refused.stderr
    apt(machine, "purge", "edged")
    assert machine.run("find", "/opt", "/etc", "/usr", "/var/lib", "-name", "edged*", "-not", "-path",
                       "/etc/mosquitto/*", "-not", "-path", "/etc/apt/*") == ""  # fmt: skip


def test_lintian_finds_no_error(lintian: subprocess.Popen[str] | None) -> None:
    """What is not as Debian has it is named, with its reason, in the package; the rest is right."""
    if lintian is None:
        return
    said, _ = lintian.communicate(timeout=600)
    assert not [line for line in said.splitlines() if line.startswith(("E:", "lintian:"))], said


def test_the_same_sources_make_the_same_package(
    suite: str,
    packages: dict[str, Path],
    checkouts: dict[str, Path],
    wheelhouses: dict[str, Path],
    tmp_path: Path,
) -> None:
    """Whoever builds it, wherever on earth."""
    if suite != "trixie":
        return  # once is enough
    again = build(checkouts["src"], suite, wheelhouses[suite], tmp_path, umask=0o077, zone="Asia/Tokyo")
    assert filecmp.cmp(again, packages["src"], shallow=False)
