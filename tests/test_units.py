"""The units as systemd reads them: no faults, little exposed, and in agreement with the daemon."""

from __future__ import annotations

import difflib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edged.cli import check
from edged.daemon import unit
from edged.errors import ConfigError, ModelError

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "systemd"
UNITS = ("edged.service", "edged@.service")
INSTANCES = ("edged.service", "edged@front.service")
MOST_EXPOSURE = 12
"""Tenths; systemd calls up to 20 safe."""


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def _version() -> int:
    found = re.match(r"systemd (\d+)", _analyze("--version").stdout)
    assert found
    return int(found[1])


def _settings(path: Path) -> list[tuple[str, str]]:
    lines = (line.partition("=") for line in path.read_text().splitlines() if not line.startswith(("#", "[")))
    return [(name, value) for name, _, value in lines if name]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder with the units, and with the programs that they start."""
    for program in ("opt/edged/bin/edged", "bin/kill"):
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o755)
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    for name in UNITS:
        shutil.copy(FOLDER / name, units)
    return tmp_path


def _verify(root: Path) -> subprocess.CompletedProcess[str]:
    return _analyze("verify", f"--root={root}", "--man=no", "--recursive-errors=no", *INSTANCES)


def test_systemd_finds_no_fault(root: Path) -> None:
    """Verification passes without a word."""
    found = _verify(root)
    assert (found.returncode, found.stderr) == (0, "")


def test_systemd_finds_no_fault_with_the_drop_ins_for_its_version(root: Path) -> None:
    """The number before a drop-in's name is the first version that understands it."""
    for drop_in in (FOLDER / "drop-ins").iterdir():
        if int(drop_in.name.partition("-")[0]) <= _version():
            folder = root / "etc/systemd/system/edged.service.d"
            folder.mkdir(exist_ok=True)
            shutil.copy(drop_in, folder)
    found = _verify(root)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_misspelt_directive_is_found(root: Path) -> None:
    """Verification looks at the files that it is meant to look at."""
    path = root / "etc/systemd/system/edged.service"
    path.write_text(path.read_text().replace("ProtectHome=", "ProtectHoem="))
    assert _verify(root).returncode != 0


@pytest.mark.parametrize("name", UNITS)
def test_little_is_exposed(name: str) -> None:
    """The score of systemd stays within the limit."""
    found = _analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", str(FOLDER / name))
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("name", sorted(path.name for path in (FOLDER / "examples").iterdir()))
def test_examples_are_understood(name: str, root: Path) -> None:
    """What people copy works."""
    folder = root / "etc/systemd/system/edged.service.d"
    folder.mkdir()
    shutil.copy(FOLDER / "examples" / name, folder)
    found = _verify(root)
    assert (found.returncode, found.stderr) == (0, "")


def test_the_template_differs_in_names_only() -> None:
    """What is said of the one unit holds for the other."""
    unit, template = (_settings(FOLDER / name) for name in UNITS)
    changes = difflib.ndiff([f"{n}={v}" for n, v in unit], [f"{n}={v}" for n, v in template])
    assert {line[2:].partition("=")[0] for line in changes if line[0] in "-+"} == {
        "Description",
        "ExecStart",
        "StateDirectory",
        "WorkingDirectory",
        "LoadCredential",
    }


@pytest.mark.parametrize("name", UNITS)
def test_unit_and_daemon_agree(name: str) -> None:
    """Only an error that will not mend itself ends the attempts to start."""
    settings = dict(_settings(FOLDER / name))
    assert settings["RestartPreventExitStatus"] == str(ConfigError.exit_code) == str(ModelError.exit_code)
    assert settings["StartLimitIntervalSec"] == "0"


@pytest.mark.parametrize("name", UNITS)
def test_what_must_not_be_in_it(name: str) -> None:
    """The env file is the daemon's to read, again at every reload; the runtime needs /proc/cpuinfo."""
    names = {setting for setting, _ in _settings(FOLDER / name)}
    assert not names & {"EnvironmentFile", "ProcSubset", "DynamicUser"}


@pytest.mark.parametrize(("name", "file"), [("edged.service", "edged"), ("edged@front.service", "front")])
def test_what_a_unit_may_do_is_asked_of_systemd_run(name: str, file: str) -> None:
    """Every restriction goes along, drop-ins and all, with its specifiers; the life of a service does not."""
    text = (FOLDER / name.replace("front", "")).read_text()
    text += "\n# /etc/systemd/system/edged.service.d/own.conf\n[Service]\nReadWritePaths=/srv \\\n  /mnt/%p\n"
    found = unit.parse(name, text, Path(f"/etc/edged/{file}.env"))
    assert found is not None
    command = found.command(["check"], {"EDGED_MQTT_PASSWORD_FILE": f"/run/credentials/{name}/mqtt_password"})
    assert command[-3:] == ["--", "/opt/edged/bin/edged", "check"]
    asked = [word.removeprefix("--property=") for word in command if word.startswith("--property=")]
    folder = "edged" if name == "edged.service" else "edged/front"
    for one in ("ProtectHome=yes", "ProtectSystem=strict", "User=edged", "DeviceAllow=char-video4linux rw",
                f"WorkingDirectory=/var/lib/{folder}", "IPAddressDeny=any",
                "IPAddressAllow=localhost", "IPAddressAllow=10.0.0.0/8",
                "SystemCallFilter=~@privileged @resources",
                "ReadWritePaths=/srv    /mnt/edged", "CapabilityBoundingSet="):  # fmt: skip
        assert one in asked, asked
    for one in ("Type", "ExecReload", "Restart", "WatchdogSec", "TimeoutStartSec", "After", "WantedBy"):
        assert not any(line.startswith(f"{one}=") for line in asked), one
    alias = next(word.removeprefix("--unit=") for word in command if word.startswith("--unit="))
    assert f"--setenv=EDGED_MQTT_PASSWORD_FILE=/run/credentials/{alias}/mqtt_password" in command


def test_a_container_that_sees_the_run_of_the_machine_has_no_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no systemctl in it."""
    monkeypatch.setattr(unit, "_BOOTED", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert unit.unit_of(Path("/etc/edged/edged.env")) is None


def test_a_unit_with_another_env_file_is_another_service() -> None:
    text = (FOLDER / "edged.service").read_text()
    assert unit.parse("edged.service", text, Path("/root/trial.env")) is None
    assert (
        unit.parse("edged.service", "[Service]\nExecStart=/bin/true\n", Path("/etc/edged/edged.env")) is None
    )


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("-/opt/edged/bin/edged run --env-file /etc/edged/edged.env", ["/opt/edged/bin/edged"]),
        ("/usr/bin/python3 -m edged run --env-file /etc/edged/edged.env",
         ["/usr/bin/python3", "-m", "edged"]),
        ("@/usr/bin/python3 edged -m edged run --env-file=/etc/edged/edged.env",
         ["/usr/bin/python3", "-m", "edged"]),
        (":!!'/opt/my edged/edged' run --env-file '/etc/edged/edged.env'", ["/opt/my edged/edged"]),
        ("/opt/edged/bin/edged run --env-file /etc/edged/edged.env\nExecStart=/bin/sh -c 'broken",
         ["/opt/edged/bin/edged"]),
    ],
)  # fmt: skip
def test_a_command_line_is_read_as_systemd_reads_it(command: str, program: list[str]) -> None:
    """With what may stand before the program; a line whose quotes do not close is none."""
    text = f"[Service]\nUser=edged\nProtectHome=yes\nExecStart={command}\n"
    found = unit.parse("edged.service", text, Path("/etc/edged/edged.env"))
    assert found is not None
    told = found.command(["check"], {})
    assert told[told.index("--") + 1 :] == [*program, "check"]
    assert found.properties == ("User=edged", "ProtectHome=yes")


@pytest.mark.parametrize(
    ("prefix", "left"),
    [
        ("", {"User=edged", "ProtectHome=yes", "IPAddressDeny=any"}),
        ("!", {"ProtectHome=yes", "IPAddressDeny=any"}),
        ("+", {"IPAddressDeny=any"}),
    ],
)
def test_more_rights_before_a_program_are_more_rights(prefix: str, left: set[str]) -> None:
    """Neither the user nor what is mounted is asked for where the service has neither."""
    text = f"[Service]\nUser=edged\nProtectHome=yes\nIPAddressDeny=any\nExecStart={prefix}/e --env-file /f\n"
    found = unit.parse("edged.service", text, Path("/f"))
    assert found is not None
    assert set(found.properties) == left


def test_quotes_that_do_not_close_are_no_command() -> None:
    text = "[Service]\nExecStart=/e --env-file '/f\n"
    assert unit.parse("edged.service", text, Path("/f")) is None


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (0, ""),
        (78, ""),
        (1, "MemoryMax="),
        (255, "SystemCallFilter="),
        (217, "User="),
        (232, "RestrictAddressFamilies="),
        (205, "see systemd.exec(5)"),
    ],
)
def test_why_a_check_came_not_to_its_end_is_told_by_its_exit_code(code: int, says: str) -> None:
    """What it has found itself is no end before its time."""
    why = check.cut_short(code)
    assert says in why
    assert bool(why) is bool(says)
