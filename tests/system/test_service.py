"""The life of the service on Debian 12 and 13: installed, used, reconfigured, hurt, upgraded, removed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from edged.errors import ConfigError
from system.installed import (
    DATA,
    ENV_FILE,
    INSTALL,
    NEWER,
    UNIT,
    WATCHDOG_S,
    await_state,
    configure,
    connection,
    files,
    frames_in,
    install,
    main_pid,
)
from system.machine import Machine, until
from system.roots import HERE
from system.sandbox import probed

if TYPE_CHECKING:
    from pathlib import Path

    from system.broker import Broker


@pytest.fixture(scope="module")
def before(machine: Machine, broker: Broker) -> set[str]:
    """The files of a machine that edged has never been on."""
    del broker
    return files(machine)


@pytest.fixture(scope="module")
def source(suite: str, wheel: Path) -> list[str]:
    """What to install: a wheel on the one system, the checkout around the script on the other."""
    return ["--wheel", f"/wheel/{wheel.name}"] if suite in NEWER else []


def test_a_dry_run_changes_nothing(machine: Machine, before: set[str]) -> None:
    """--dry-run tells every step, and takes none."""
    told = machine.run("/src" + INSTALL, "--dry-run", "--coral")
    for step in (
        "useradd",
        "/usr/local/lib/systemd/system/edged.service",
        ENV_FILE,
    ):
        assert step in told
    assert "libedgetpu1-std for this Debian and amd64" in told
    assert files(machine) == before


def test_install(machine: Machine, suite: str, models: dict[str, str], source: list[str]) -> None:
    """One command leaves a service that waits for its settings: it is not enabled, to fail at every boot."""
    del models
    said = install(machine, "/src", *source)
    assert "Now set EDGED_SOURCE and EDGED_MODEL" in said
    assert "systemctl enable --now edged.service" in said
    assert machine.try_run("systemctl", "is-enabled", UNIT) == "disabled"
    assert machine.show(UNIT, "ActiveState") == "inactive"
    assert machine.run("stat", "-c", "%a %U:%G", ENV_FILE) == "640 root:edged"
    assert machine.run("/opt/edged/bin/edged", "env") == machine.run("cat", ENV_FILE)
    assert machine.run("edged", "--version").startswith("edged ")
    assert machine.run("id", "-nG", "edged") == "edged video plugdev"
    rules = "/etc/udev/rules.d/60-edged-edgetpu.rules"
    assert 'ATTR{idProduct}=="089a"' in machine.run("cat", rules)
    if suite in NEWER:
        machine.run("udevadm", "verify", rules)
    assert machine.show(UNIT, "Type") == ("notify-reload" if suite in NEWER else "notify")


def test_systemd_finds_no_fault_with_the_units(machine: Machine) -> None:
    """Its own verification and its own score, by the version that runs them."""
    units = [UNIT, "edged@front.service"]
    machine.run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units)
    # Against what is loaded, drop-ins and all.
    machine.run("systemd-analyze", "security", "--threshold=12", *units)


def test_installing_again_changes_nothing(machine: Machine, source: list[str]) -> None:
    """Whatever is right already stays untouched."""
    listing = ["find", "/etc", "/opt", "/usr/local", DATA, "-printf", "%p %T@ %m %u:%g\n"]
    as_it_was = set(machine.run(*listing).splitlines())
    said = install(machine, "/src", *source)
    assert "edged is up to date" in said
    assert "Nothing had to be changed." in said
    assert set(machine.run(*listing).splitlines()) ^ as_it_was == set()


def test_coral_checks_what_is_there(
    machine: Machine, source: list[str], fake_edgetpu: dict[str, Path]
) -> None:
    """--coral finds that the library is absent, or which one it is and that it does not fit."""
    assert "libedgetpu.so.1 for the Edge TPU is not installed" in install(machine, "/src", *source, "--coral")
    (library := machine.path("/usr/local/lib/libedgetpu.so.1")).write_bytes(fake_edgetpu["old"].read_bytes())
    machine.run("ldconfig")
    told = install(machine, "/src", *source, "--coral")
    library.unlink()
    machine.run("ldconfig")
    assert re.search(r"TensorFlow 2\.5\.0.* not", told)


def test_an_empty_env_file_stops_the_service_for_good(machine: Machine) -> None:
    """A wrong configuration is told once and not tried again and again."""
    assert machine.call("systemctl", "start", UNIT).returncode != 0
    assert machine.show(UNIT, "ActiveState") == "failed"
    assert machine.show(UNIT, "ExecMainStatus") == str(ConfigError.exit_code)
    assert "EDGED_SOURCE is not set" in machine.journal(UNIT)
    time.sleep(2.5)  # longer than RestartSec
    assert machine.show(UNIT, "NRestarts") == "0"


def test_it_detects(machine: Machine, broker: Broker, models: dict[str, str]) -> None:
    """Source, model and broker in the env file, start, and detections arrive: encrypted, with a password."""
    machine.run("install", "-m", "0644", "/etc/mosquitto/certs/edged-ca.crt", "/etc/edged/broker.crt")
    machine.run("install", "-D", "-m", "0600", "/dev/stdin", "/etc/credstore/edged.mqtt_password",
                data=broker.password("lab1"))  # fmt: skip
    configure(
        machine,
        SOURCE="/srv/models/demo.mp4",
        LOOP="true",
        POLICY="latest",
        MODEL=models["sparse"],
        OUTPUT=f"{DATA}/video",
        SEGMENT="2",
        MQTT_URL="mqtts://lab1@127.0.0.1",
        MQTT_CA="/etc/edged/broker.crt",
        MQTT_PASSWORD_FILE="/run/credentials/edged.service/mqtt_password",  # noqa: S106  # a path
        NODE="lab1",
        STATS_INTERVAL="1",
    )
    drop_in = machine.path("/etc/systemd/system/edged.service.d/override.conf")
    drop_in.parent.mkdir()
    drop_in.write_text(f"[Service]\nWatchdogSec={WATCHDOG_S}\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", UNIT)
    assert machine.show(UNIT, "ActiveState") == "active"
    assert broker.listen("edged/lab1/availability")[0].payload == "online"
    await_state(broker, lifecycle="running", model="face_detection_full_range_sparse")
    frame = broker.detections(count=1)[0]
    assert frame["detections"][0]["label"] == "face"
    until(
        lambda: re.search(r"running: [1-9][0-9.]* frames/s on cpu", machine.show(UNIT, "StatusText")),
        "STATUS",
    )


def test_check_sees_what_the_service_will_see(machine: Machine, models: dict[str, str]) -> None:
    """Asked by root, it names the property of the unit that is in the way; its password it can read."""
    told = machine.run("edged", "check", "--env-file", ENV_FILE)
    assert told.startswith(f"note  as {UNIT}")
    assert "WRONG" not in told
    good = machine.path(ENV_FILE).read_text()
    machine.run("install", "-D", "-m", "0644", models["sparse"], "/home/someone/model.tflite")
    machine.run("mkdir", "-p", "-m", "0777", "/srv/video")
    configure(machine, MODEL="/home/someone/model.tflite", OUTPUT="/srv/video")
    found = machine.call("edged", "check", "--env-file", ENV_FILE)
    assert found.returncode == 78, found.stdout + found.stderr
    assert f"cannot see /home (ProtectHome=yes): put it into {DATA}" in found.stdout
    assert "ProtectSystem=strict" in found.stdout
    assert "WRONG" not in machine.run("edged", "check", "--here", "--env-file", ENV_FILE)
    machine.path(ENV_FILE).write_text(good)
    machine.run("rm", "-r", "/home/someone", "/srv/video")


def test_check_names_what_an_own_drop_in_takes_away(machine: Machine) -> None:
    """A name that systemd does not know changes nothing; what it cannot make is told."""
    folder = machine.path(f"/etc/systemd/system/{UNIT}.d")
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / "own.conf"
    good = machine.path(ENV_FILE).read_text()
    configure(machine, SOURCE="/dev/video0")
    own.write_text("[Service]\nPrivateDevices=yes\nProtectHoem=yes\n")
    machine.run("systemctl", "daemon-reload")
    found = machine.call("edged", "check", "--env-file", ENV_FILE)
    assert "says ProtectHoem=, which this systemd passes over" in found.stdout
    assert "sees no device of this machine (PrivateDevices=yes)" in found.stdout, found.stdout
    own.write_text("[Service]\nReadWritePaths=/srv/not-there\n")
    machine.run("systemctl", "daemon-reload")
    found = machine.call("edged", "check", "--env-file", ENV_FILE)
    assert found.returncode == 226, found.stdout + found.stderr
    assert f"WRONG {UNIT}: this check did not come to its end (226)" in found.stdout
    own.unlink()
    machine.run("systemctl", "daemon-reload")
    machine.path(ENV_FILE).write_text(good)


def test_neighbours_are_closed_to_a_node(machine: Machine, broker: Broker) -> None:
    """The broker lets a node write its own topics only."""
    for user, payload in (("lab2", "forged"), ("viewer", "forged")):
        machine.run(
            "mosquitto_pub", *broker.options(user), "-q", "1", "-t", "edged/lab1/test/status", "-m", payload
        )
    machine.run(
        "mosquitto_pub", *broker.options("lab2"), "-q", "1", "-t", "edged/lab2/test/status", "-r", "-m", "own"
    )
    assert [arrival.payload for arrival in broker.listen("edged/+/test/status", timeout=2, count=2)] == [
        "own"
    ]
    nobody = machine.call("mosquitto_sub", "-h", "127.0.0.1", "-p", "8883", "--cafile",
                          "/etc/mosquitto/certs/edged-ca.crt", "-t", "#", "-C", "1", "-W", "2")  # fmt: skip
    assert "not authorised" in nobody.stderr.lower()


def test_the_sandbox_holds(machine: Machine) -> None:
    """What the unit forbids is forbidden, seen by a program in a copy of the unit; outside it is possible."""
    inside, outside = probed(machine)
    # MemoryDenyWriteExecute= is a filter of system calls in systemd 252, a property of the process in 257.
    assert inside.pop("map memory to write and execute") in {"EPERM", "EACCES"}
    assert inside == {
        "write into the state folder": "possible",
        "write into /tmp": "possible",
        "write into /etc/edged": "EROFS",
        "write into /opt/edged": "EROFS",
        "write into /usr": "EROFS",
        "write into /var": "EROFS",
        "write into /home": "EACCES",
        "change a kernel setting": "EROFS",
        "read the settings": "possible",
        "read its password": "possible",
        "read stored passwords": "EACCES",
        "read /proc/cpuinfo": "possible",
        "read what is in /home": "EACCES",
        "see processes of others": "ENOENT",
        "open /dev/null": "possible",
        "open another device": "EPERM",
        "connect to a private address": "possible",
        "connect to a public address": "timeout",
        "open a raw socket": "EAFNOSUPPORT",
        "make a namespace": "EPERM",
        "make a set-user-id program": "EPERM",
    }
    # So that nothing of the above is forbidden for another reason.
    for name in ("write into /usr", "write into /var", "write into /home", "read what is in /home",
                 "see processes of others", "open another device", "connect to a public address",
                 "map memory to write and execute"):  # fmt: skip
        assert outside[name] == "possible", name


def test_a_reload_puts_new_settings_in_force(
    machine: Machine, broker: Broker, models: dict[str, str]
) -> None:
    """A new threshold and a new model, by the same process over the same connection."""
    process, line, state = main_pid(machine), connection(machine), broker.state()
    scores = [found["score"] for frame in broker.detections(count=25) for found in frame["detections"]]
    threshold = sorted(scores)[len(scores) // 2]
    # Without tracks: those go on below the threshold.
    configure(machine, SCORE_THRESHOLD=str(threshold), MODEL=models["dense"], TRACK="false")
    machine.run("systemctl", "reload", UNIT)
    new = await_state(broker, lifecycle="running", model="face_detection_full_range")
    assert new["config_hash"] != state["config_hash"]
    frames = broker.detections(count=25)
    assert {frame["model"] for frame in frames} == {"face_detection_full_range"}
    assert min(found["score"] for frame in frames for found in frame["detections"]) >= threshold
    assert {frame["boot_id"] for frame in frames} == {state["boot_id"]}
    assert (main_pid(machine), connection(machine)) == (process, line)


def test_a_reload_of_a_broken_file_changes_nothing(machine: Machine, broker: Broker) -> None:
    """Every fault is told in the journal, in STATUS and in the state; the old settings stay in force."""
    process, line, state = main_pid(machine), connection(machine), broker.state()
    good = machine.run("cat", ENV_FILE)
    configure(machine, SCORE_THRESHOLD="1.5", MODEL="/srv/models/none.tflite", COLOUR="red")
    machine.run("systemctl", "reload", UNIT)
    told = until(lambda: "".join(broker.state()["degraded"]), "the state tells")
    for place in (told, machine.show(UNIT, "StatusText"), machine.journal(UNIT)):
        assert "EDGED_SCORE_THRESHOLD='1.5'" in place.replace("\\", "")
        assert "EDGED_COLOUR" in place
    assert broker.state()["config_hash"] == state["config_hash"]
    assert {frame["model"] for frame in broker.detections()} == {"face_detection_full_range"}
    machine.path(ENV_FILE).write_text(good + "\n")
    machine.run("systemctl", "reload", UNIT)
    await_state(broker, degraded=[], config_hash=state["config_hash"])
    assert (main_pid(machine), connection(machine)) == (process, line)


def test_the_watchdog_ends_what_hangs(machine: Machine, broker: Broker) -> None:
    """All stages hang while the event loop lives; the service is back within the limit."""
    # One worker is what everybody waits for: a frame is always under way.
    configure(machine, POLICY="all", WORKERS="1", THREADS="1")
    machine.run("systemctl", "reload", UNIT)
    broker.detections(count=25)
    process, restarts = main_pid(machine), int(machine.show(UNIT, "NRestarts"))
    with subprocess.Popen(
        [sys.executable, str(HERE / "freeze.py"), str(machine.host_pid(process))], stdout=subprocess.PIPE
    ) as freezer:
        try:
            assert freezer.stdout is not None
            assert freezer.stdout.readline() == b"frozen\n"
            began = time.monotonic()
            until(lambda: machine.show(UNIT, "NRestarts") == str(restarts + 1), "a restart")
            took = time.monotonic() - began
        finally:
            freezer.kill()
    assert "Watchdog timeout" in machine.journal(UNIT)
    # Half of it passes until the daemon believes in a hang, all of it until systemd does, 2 s are RestartSec;
    # the rest is for a machine that has other work.
    assert took < 1.5 * WATCHDOG_S + 2 + 20
    configure(machine, POLICY="latest")
    until(lambda: machine.show(UNIT, "ActiveState") == "active", "it runs again")
    machine.run("systemctl", "reload", UNIT)
    assert main_pid(machine) != process
    assert broker.listen("edged/lab1/availability")[0].payload == "online"
    broker.detections()


def test_a_killed_service_comes_back_and_leaves_whole_video(machine: Machine, broker: Broker) -> None:
    """kill -9 costs seconds: every segment plays, and detection goes on."""
    folder = machine.path(f"{DATA}/video")
    process = main_pid(machine)
    count = len(sorted(folder.rglob("*.mp4")))
    until(lambda: len(sorted(folder.rglob("*.mp4"))) > count + 1, "two more segments")
    machine.run("kill", f"-{signal.SIGKILL}", str(process))
    left = sorted(folder.rglob("*.mp4"))
    until(lambda: main_pid(machine) not in {0, process}, "another process")
    until(lambda: machine.show(UNIT, "ActiveState") == "active", "it runs again")
    for video in left:
        assert frames_in(video) > 0, video.name
    broker.detections()


def test_the_edge_tpu_works_inside_the_sandbox(
    machine: Machine, broker: Broker, shared: Path, fake_edgetpu: dict[str, Path]
) -> None:
    """Its driver runs in a process of its own, which the unit must let live and let answer."""
    settings, override = (
        machine.path(ENV_FILE),
        machine.path("/etc/systemd/system/edged.service.d/tpu.conf"),
    )
    before = settings.read_text()
    model, twin = (
        shared / f"models/yolov8n_320_full_integer_quant_{kind}.tflite" for kind in ("edgetpu", "oddscale")
    )
    library = fake_edgetpu["new"]
    for path in (model, twin, library):
        machine.path(f"/srv/models/{path.name}").write_bytes(path.read_bytes())
    plug = machine.path(f"{DATA}/plug")
    plug.touch()
    override.write_text(f"[Service]\nEnvironment=FAKE_EDGETPU={DATA}/plug\n")
    configure(
        machine,
        MODEL=f"/srv/models/{model.name}",
        MODEL_CPU=f"/srv/models/{twin.name}",
        EDGETPU_LIBRARY=f"/srv/models/{library.name}",
        INVOKE_TIMEOUT="1",
    )
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)
    assert await_state(broker, lifecycle="running", degraded=[])["device"].startswith("edgetpu")
    assert broker.listen("edged/lab1/camera/detections", count=10)
    plug.unlink()  # pulled out: the twin takes over, by the same process
    process = main_pid(machine)
    assert await_state(broker, device="cpu")["degraded"]
    assert main_pid(machine) == process
    override.unlink()
    settings.write_text(before)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)
    broker.detections()


def test_another_instance_has_settings_and_data_of_its_own(
    machine: Machine, broker: Broker, source: list[str], models: dict[str, str]
) -> None:
    """--instance NAME: a second camera beside the first, with a password in a plain file."""
    unit, env_file, password = "edged@front.service", "/etc/edged/front.env", "/etc/edged/front.password"
    install(machine, "/src", *source, "--instance", "front")
    assert machine.try_run("systemctl", "is-enabled", unit) == "disabled"
    assert machine.run("stat", "-c", "%a %U:%G", env_file) == "640 root:edged"
    made = machine.run("cat", env_file)
    assert re.search(r"^EDGED_CAMERA=front$", made, re.MULTILINE)
    assert re.search(r"^EDGED_NODE=\S+-front$", made, re.MULTILINE)
    machine.run("install", "-m", "0640", "-g", "edged", "/dev/stdin", password, data=broker.password("lab2"))
    configure(
        machine,
        env_file,
        SOURCE="/srv/models/demo.mp4",
        MODEL=models["sparse"],
        OUTPUT=f"{DATA}/front/front.mp4",
        MQTT_URL="mqtts://lab2@127.0.0.1",
        MQTT_CA="/etc/edged/broker.crt",
        MQTT_PASSWORD_FILE=password,
        NODE="lab2",
    )
    told = machine.run("runuser", "-u", "edged", "--", "edged", "check", "--env-file", env_file)
    assert "WRONG" not in told
    assert machine.run("edged", "check", "--env-file", env_file).startswith(f"note  as {unit}")
    assert "broker" in told
    configure(machine, env_file, LOOP="true", POLICY="latest")
    machine.run("systemctl", "start", unit)
    assert broker.detections(count=1, camera="front")
    assert machine.run("ls", f"{DATA}/front") == "front.mp4"
    machine.run("/src" + INSTALL, "uninstall", "--instance", "front")
    assert machine.show(unit, "ActiveState") == "inactive"
    assert machine.show(UNIT, "ActiveState") == "active"


def test_an_upgrade(machine: Machine, broker: Broker) -> None:
    """The new version runs, with the old settings, and nothing of the old version is left."""
    settings, releases = machine.run("cat", ENV_FILE), machine.run("ls", "/opt/edged/releases")
    process = main_pid(machine)
    install(machine, "/later", "upgrade", "--no-start")
    assert main_pid(machine) == process
    assert releases in machine.run("ls", "/opt/edged/releases"), "what runs may load more of it"
    # As after an upgrade that was cut short: the new version is there, the old one runs.
    install(machine, "/later", "upgrade")
    assert await_state(broker, lifecycle="running")["version"] == "99.0"
    assert machine.run("cat", ENV_FILE) == settings
    now = machine.run("ls", "/opt/edged/releases")
    assert len(now.split()) == 1
    assert now != releases
    broker.detections()


def test_an_upgrade_that_does_not_start_is_taken_back(machine: Machine, broker: Broker) -> None:
    """The version that worked is in force again."""
    releases = machine.run("ls", "/opt/edged/releases")
    tried = machine.call("/broken" + INSTALL, "upgrade", "--wheelhouse", "/wheels", timeout=600)
    assert tried.returncode != 0
    assert "the old one" in tried.stderr
    assert machine.run("ls", "/opt/edged/releases") == releases
    assert await_state(broker, lifecycle="running")["version"] == "99.0"
    broker.detections()


def test_uninstall_leaves_settings_and_data_only(machine: Machine, before: set[str]) -> None:
    """Everything else is as it was before edged came."""
    machine.run("/later" + INSTALL, "uninstall")
    left = files(machine) - before
    strangers = {
        path
        for path in left
        if not path.startswith(
            (
                "/etc/edged",
                DATA,
                "/srv/models",
                "/etc/credstore",
                "/etc/systemd/system/edged.service.d",
            )
        )
    }
    assert not strangers
    assert ENV_FILE in left
    assert any(path.endswith(".mp4") for path in left)
    assert machine.call("getent", "passwd", "edged").returncode != 0
    assert machine.call("getent", "group", "edged").returncode != 0
    assert machine.run("stat", "-c", "%a %U:%G", ENV_FILE) == "640 root:root"
    assert machine.units("edged*") == []


def test_installed_again_it_goes_on_where_it_stopped(machine: Machine, broker: Broker, suite: str) -> None:
    """Settings and data that were left behind are taken up again."""
    if suite in NEWER:
        return  # it is the same script, and takes time
    videos = machine.run("ls", f"{DATA}/video")
    install(machine, "/later", "--instance", "front", "--no-start")
    assert machine.run("stat", "-c", "%U:%G", DATA) == "edged:edged", "an instance must get in"
    install(machine, "/later")
    assert await_state(broker, lifecycle="running")["version"] == "99.0"
    broker.detections()
    assert videos in machine.run("ls", f"{DATA}/video")
    assert machine.run("stat", "-c", "%U:%G", f"{DATA}/video") == "edged:edged"


def test_uninstall_with_purge_leaves_nothing(machine: Machine, before: set[str]) -> None:
    """--purge is for those who want it all gone, what they have changed of the unit as well."""
    machine.run("/later" + INSTALL, "uninstall", "--purge")
    assert {path for path in files(machine) - before if "edged" in path} == set()
