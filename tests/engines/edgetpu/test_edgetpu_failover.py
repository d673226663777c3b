"""What a worker runs on when its Edge TPU is lost, and how it comes back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from coral_rig import CLASSIFIER, CLASSIFIER_TWIN, DETECTOR, DETECTOR_TWIN, children, until

from edged import config, detector
from edged.engines.cpu import CpuEngine
from edged.engines.edgetpu import Access, EdgeTpuEngine
from edged.engines.failover import Backoff, FailoverEngine, Slot
from edged.engines.selection import Wanted, open_engines
from edged.errors import ConfigError, DeviceError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coral_rig import Plug

    from edged.engines import Engine
    from edged.records import Tensor

    Opener = Callable[..., list[FailoverEngine]]

SOON = Backoff(first=0.1, most=0.2)
NEVER = Backoff(first=600.0, most=600.0)


@pytest.fixture
def wanted(shared: Path, access: Access) -> Wanted:
    models = shared / "models"
    return Wanted(
        model=models / CLASSIFIER,
        compiled=True,
        twin=models / CLASSIFIER_TWIN,
        devices=("edgetpu",),
        workers=1,
        threads=1,
        twin_threads=1,
        access=replace(access, invoke_timeout=1.0, open_timeout=5.0),
        backoff=SOON,
    )


@pytest.fixture
def opened(wanted: Wanted) -> Iterator[Opener]:
    """Open engines, and close them at the end."""
    engines: list[Engine] = []

    def open_them(**changes: Any) -> list[FailoverEngine]:
        found = open_engines(replace(wanted, **changes))
        engines.extend(found)
        assert all(isinstance(engine, FailoverEngine) for engine in found)
        return found  # type: ignore[return-value]  # as asserted

    yield open_them
    for engine in engines:
        engine.close()
    assert not children()


@pytest.fixture
def picture(wanted: Wanted) -> Tensor:
    engine = CpuEngine(wanted.twin or "")
    return np.random.default_rng(3).integers(0, 255, engine.inputs[0].shape).astype(engine.inputs[0].dtype)


@pytest.fixture
def of_the_twin(wanted: Wanted, picture: Tensor) -> Tensor:
    """What the CPU makes of the picture; the fake Edge TPU makes something else of it."""
    return CpuEngine(wanted.twin or "").invoke(picture)[0]


def test_a_frame_in_flight_is_run_again_on_the_twin_and_the_device_returns(
    plug: Plug, opened: Opener, picture: Tensor, of_the_twin: Tensor
) -> None:
    """Without the caller noticing more than where it ran."""
    (engine,) = opened()
    assert (engine.device, engine.degraded, engine.losses) == ("edgetpu", "", 0)
    on_device = engine.invoke(picture)[0]
    assert not np.array_equal(on_device, of_the_twin)

    plug.pull()
    assert np.array_equal(engine.invoke(picture)[0], of_the_twin)
    assert engine.device == "cpu"
    assert "edgetpu is lost: its process gave up (SIGABRT)" in engine.degraded
    assert engine.degraded.endswith("; cpu stands in")
    assert (engine.losses, engine.diverted) == (1, 1)

    until(lambda: "opens no Edge TPU" in engine.degraded, "a try that fails")
    assert np.array_equal(engine.invoke(picture)[0], of_the_twin)
    plug.put()
    until(lambda: not engine.degraded, "the return of the device")
    assert engine.device == "edgetpu"
    assert np.array_equal(engine.invoke(picture)[0], on_device)
    assert (engine.losses, engine.diverted) == (1, 2)


@pytest.mark.parametrize("words", ["error=3", "abort=3", "crash=3", "hang=3", "shrink=3", "exit=3"])
def test_every_way_of_failing_ends_on_the_twin(
    plug: Plug, opened: Opener, picture: Tensor, of_the_twin: Tensor, words: str
) -> None:
    """No frame is lost and none gets an empty result."""
    plug.put(words)
    (engine,) = opened(backoff=NEVER)
    engine.invoke(picture)
    assert np.array_equal(engine.invoke(picture)[0], of_the_twin)
    assert engine.degraded


def test_without_a_twin_the_failure_is_told(plug: Plug, opened: Opener, picture: Tensor) -> None:
    """It ends the run."""
    (engine,) = opened(twin=None)
    plug.pull()
    with pytest.raises(DeviceError, match="SIGABRT"):
        engine.invoke(picture)


@pytest.mark.parametrize("words", ["refuse=2", "crash=open", "abort=1", "claim=0"])
def test_a_device_that_does_not_open_is_tried_again(
    plug: Plug, opened: Opener, picture: Tensor, of_the_twin: Tensor, words: str
) -> None:
    """From the start on the twin, until it opens."""
    plug.put(words)
    (engine,) = opened()
    assert engine.degraded
    assert np.array_equal(engine.invoke(picture)[0], of_the_twin)
    plug.put()
    until(lambda: not engine.degraded, "the return of the device")
    assert not np.array_equal(engine.invoke(picture)[0], of_the_twin)


def test_a_device_that_does_not_open_is_told_when_there_is_no_twin(plug: Plug, wanted: Wanted) -> None:
    """With what else could be done."""
    plug.put("refuse=2")
    with pytest.raises(DeviceError, match="opens no Edge TPU") as caught:
        open_engines(replace(wanted, twin=None))
    assert caught.value.mend.endswith("or name the model's CPU build in EDGED_MODEL_CPU, to go on without")
    assert not children()


def test_several_devices_stand_in_for_each_other(plug: Plug, opened: Opener, picture: Tensor) -> None:
    """A lost one is no reason to go to the CPU, or to end, while another answers."""
    plug.put("usb=2")
    one, two = opened(devices=("edgetpu:usb:0", "edgetpu:usb:1"), twin=None, backoff=NEVER)
    assert sorted(plug.opened()) == ["usb0 device=usb:0", "usb1 device=usb:1"]
    expected = one.invoke(picture)[0]
    first = min(children())
    os.kill(first, signal.SIGKILL)
    assert np.array_equal(one.invoke(picture)[0], expected)
    assert np.array_equal(two.invoke(picture)[0], expected)
    assert one.device == two.device == "edgetpu:usb:1"
    assert one.degraded.endswith("; edgetpu:usb:1 stands in")
    assert not two.degraded

    plug.pull()
    with pytest.raises(DeviceError, match="edgetpu:usb:1 is lost"):
        two.invoke(picture)
    with pytest.raises(DeviceError, match="edgetpu:usb:0 is lost"):
        one.invoke(picture)


def test_one_of_two_devices_may_be_absent_at_the_start(plug: Plug, opened: Opener, picture: Tensor) -> None:
    """The other one does the work of both."""
    one, two = opened(devices=("edgetpu:usb:0", "edgetpu:usb:1"), twin=None)
    assert not one.degraded
    assert two.degraded.endswith("; edgetpu:usb:0 stands in")
    assert np.array_equal(one.invoke(picture)[0], two.invoke(picture)[0])
    plug.put("usb=2")
    until(lambda: not two.degraded, "the second device")


def test_a_twin_that_does_not_fit_is_refused_at_the_start(wanted: Wanted, shared: Path) -> None:
    """Not at night, when the device is lost."""
    with pytest.raises(
        ConfigError, match=r"is not the CPU build of mobilenet.*: its input 'serving.*' is int8\["
    ):
        open_engines(replace(wanted, twin=shared / "models" / DETECTOR_TWIN))
    assert not children()


def test_waits_grow_and_a_steady_device_is_forgiven() -> None:
    """A device that fails again and again is not hammered."""
    tries: list[float] = []

    def opens() -> Engine:
        tries.append(time.monotonic())
        raise DeviceError("not there")

    slot = Slot("edgetpu", opens, Backoff(first=0.1, most=0.4))
    slot.retry()
    until(lambda: len(tries) > 5, "six tries")
    slot.close()
    waits = [later - earlier for earlier, later in pairwise(tries)]
    for wait, due in zip(waits, [0.2, 0.4, 0.4, 0.4], strict=False):
        assert 0.75 * due < wait < 1.3 * due + 0.1


@pytest.mark.parametrize(("steady", "least", "most"), [(0.0, 0.08, 0.5), (600.0, 0.64, 1.5)])
def test_only_a_steady_device_starts_the_waits_again(
    wanted: Wanted, picture: Tensor, steady: float, least: float, most: float
) -> None:
    """One that comes back and fails at once waits longer every time."""
    backoff = Backoff(first=0.1, most=60.0, steady=steady)
    tries: list[float] = []

    def opens() -> Engine:
        tries.append(time.monotonic())
        return EdgeTpuEngine(wanted.model, wanted.access)

    slot = Slot("edgetpu", opens, backoff)
    slot.open()
    for _ in range(4):
        os.kill(next(iter(children())), signal.SIGKILL)
        with pytest.raises(DeviceError):
            slot.invoke(picture)
        lost = time.monotonic()
        until(lambda: not slot.problem, "the return of the device")
    slot.close()
    assert least < tries[-1] - lost < most
    assert slot.losses == 4


def test_closing_while_the_device_is_tried_again_leaves_nothing(
    plug: Plug, wanted: Wanted, picture: Tensor
) -> None:
    """What opens late is closed at once."""
    (engine,) = open_engines(wanted)
    plug.put("open_ms=1000")
    os.kill(next(iter(children())), signal.SIGKILL)
    engine.invoke(picture)
    (late,) = until(children, "a try")
    engine.close()
    until(lambda: late not in children(), "the end of the try")
    with pytest.raises(DeviceError):
        engine.invoke(picture)


# Which engines settings ask for.


def _settings(shared: Path, access: Access, **changes: str) -> config.Settings:
    models = shared / "models"
    values = {
        "EDGED_SOURCE": "synthetic:",
        "EDGED_MODEL": str(models / DETECTOR),
        "EDGED_MODEL_CPU": str(models / DETECTOR_TWIN),
        "EDGED_EDGETPU_LIBRARY": access.library,
    }
    values |= {f"EDGED_{name.upper()}": value for name, value in changes.items()}
    return config.load(environ={name: value for name, value in values.items() if value})


@pytest.mark.parametrize(
    ("changes", "devices"),
    [
        ({}, ["edgetpu"]),
        ({"device": "cpu", "workers": "2"}, ["cpu", "cpu"]),
        ({"device": "edgetpu:usb:0,edgetpu:usb:1", "workers": "2"}, ["edgetpu:usb:0", "edgetpu:usb:1"]),
        ({"device": "edgetpu", "model_cpu": ""}, ["edgetpu"]),
    ],
)
def test_settings_choose_the_engines(
    shared: Path, plug: Plug, access: Access, changes: dict[str, str], devices: list[str]
) -> None:
    """One a worker."""
    plug.put("usb=2")
    loaded = detector.load(_settings(shared, access, **changes))
    assert [engine.device for engine in loaded.engines] == devices
    figures = {"edgetpu_lost": 0, "edgetpu_losses": 0, "edgetpu_diverted": 0}
    assert loaded.health() == (figures if "edgetpu" in devices[0] else {})
    loaded.close()
    assert not children()


def test_a_model_for_the_cpu_runs_there_whatever_is_plugged_in(
    shared: Path, access: Access, plug: Plug
) -> None:
    """``auto`` looks at the model first."""
    settings = _settings(shared, access, model=str(shared / "models" / DETECTOR_TWIN), model_cpu="")
    loaded = detector.load(settings)
    assert loaded.engines[0].device == "cpu"
    assert not plug.opened()
    loaded.close()


def test_auto_finds_the_twin_beside_the_model(
    shared: Path, access: Access, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says so; who names the device gets nothing else without asking."""
    models = shared / "models"
    shutil.copy(models / DETECTOR, tmp_path / "seen_edgetpu.tflite")
    shutil.copy(models / DETECTOR_TWIN, tmp_path / "seen.tflite")
    plug.pull()
    settings = _settings(shared, access, model=str(tmp_path / "seen_edgetpu.tflite"), model_cpu="")
    loaded = detector.load(settings)
    assert loaded.engines[0].device == "cpu"
    assert loaded.engines[0].degraded
    loaded.close()
    assert "cpu_twin_found" in capsys.readouterr().out
    with pytest.raises(DeviceError):
        detector.load(settings.model_copy(update={"device": ("edgetpu",)}))


def test_a_reload_shares_the_device_with_the_detector_in_use(
    shared: Path, access: Access, plug: Plug
) -> None:
    """It serves one process, so nothing else could be opened beside it; the last of the two closes it."""
    first = detector.load(_settings(shared, access, model_cpu=""))
    changed = _settings(shared, access, model_cpu="", score_threshold="0.7")
    second = detector.load(changed, previous=first)
    assert len(plug.opened()) == 1
    first.close()
    assert second.engines[0].invoke(second.preprocess.new_input())
    assert second.health()["edgetpu_lost"] == 0
    with pytest.raises(DeviceError, match="opens no Edge TPU"):
        detector.load(_settings(shared, access, model_cpu="", threads="7"), previous=second)
    second.close()
    assert not children()


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        (
            {"device": "cpu", "model_cpu": ""},
            ModelError,
            "compiled for the Edge TPU and cannot run on the CPU",
        ),
        ({"device": "edgetpu", "model": DETECTOR_TWIN}, ConfigError, "is not compiled for the Edge TPU"),
        ({"model_cpu": DETECTOR}, ConfigError, "is compiled for the Edge TPU, too"),
        ({"model_cpu": "does_not_load.tflite"}, ModelError, "does_not_load.tflite"),
        ({"model_cpu": "nowhere.tflite"}, ModelError, "does not exist"),
        ({"workers": "2"}, ConfigError, "an Edge TPU serves one worker"),
        ({"classes": "unicorn"}, ConfigError, "'unicorn'"),
    ],
)
def test_what_does_not_go_together_is_told(
    shared: Path, access: Access, changes: dict[str, str], error: type[Exception], reason: str
) -> None:
    """And leaves no process behind."""
    models = shared / "models"
    paths = {name: str(models / changes[name]) for name in ("model", "model_cpu") if changes.get(name)}
    with pytest.raises(error, match=reason):
        detector.load(_settings(shared, access, **{**changes, **paths}))
    assert not children()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("DEVICE", "tpu", "'tpu' is no device; there are auto, cpu, edgetpu, edgetpu:usb:N"),
        ("DEVICE", "edgetpu:usb", "'edgetpu:usb' is no device"),
        ("DEVICE", "edgetpu,edgetpu:usb:1", "'edgetpu' cannot be one of several"),
        ("DEVICE", "edgetpu:usb:1, edgetpu:usb:1", "one is named twice"),
        ("EDGETPU_OPTIONS", "Performance", "'' is no value of Performance"),
        ("EDGETPU_OPTIONS", "Performance=Turbo", "'Turbo' is no value of Performance"),
        ("EDGETPU_OPTIONS", "device=usb:0", "'device' is no option; there are Performance, Usb.AlwaysDfu"),
        ("EDGETPU_OPTIONS", "Usb.MaxBulkInQueueLength=256", "'256' is no value of"),
    ],
)
def test_malformed_settings_are_told_at_the_start(name: str, value: str, reason: str) -> None:
    """The library would refuse them without a word."""
    environ = {"EDGED_SOURCE": "synthetic:", "EDGED_MODEL": "m.tflite", f"EDGED_{name}": value}
    with pytest.raises(ConfigError, match=reason):
        config.load(environ=environ)


def test_random_kills_leave_nothing_behind(shared: Path) -> None:
    """benchmarks/edgetpu_kills.py, shortened: no process, descriptor, segment or thread, no wrong result."""
    root = Path(__file__).parents[3]
    script = root / "benchmarks" / "edgetpu_kills.py"
    options = ["--invokes", "500", "--kills", "15", "--models", str(shared / "models")]
    command = [sys.executable, str(script), *options]
    env = {**os.environ, "PYTHONPATH": str(root)}
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ", 0 wrong" in ran.stdout
