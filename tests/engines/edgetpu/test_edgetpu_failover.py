"""What a worker runs on when its Edge TPU is lost, and how it comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from coral_rig import CLASSIFIER, CLASSIFIER_TWIN, DETECTOR_TWIN, children
from daemon import until

from edged.backoff import Backoff
from edged.engines.cpu import CpuEngine
from edged.engines.failover import FailoverEngine
from edged.engines.selection import Wanted, open_engines
from edged.engines.tenancy import Tenancy
from edged.errors import ConfigError, DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coral_rig import Plug

    from edged.engines import Engine
    from edged.engines.coral.edgetpu import TpuAccess
    from edged.records import Tensor

    Opener = Callable[..., list[FailoverEngine]]

SOON = partial(Backoff, 0.1, 0.2, spread=0.0)
NEVER = partial(Backoff, 600.0, 600.0)


@pytest.fixture
def wanted(shared: Path, access: TpuAccess) -> Wanted:
    models = shared / "models"
    return Wanted(
        model=models / CLASSIFIER,
        compiled=True,
        twin=models / CLASSIFIER_TWIN,
        devices=("edgetpu",),
        workers=1,
        threads=1,
        twin_threads=1,
        # Only what hangs is to be lost for it, however busy the machine is.
        access=replace(access, invoke_timeout_s=30.0, open_timeout_s=60.0),
        backoff=SOON,
    )


@pytest.fixture
def opened(wanted: Wanted) -> Iterator[Opener]:
    """Open engines of one daemon, and close them at the end."""
    engines: list[Engine] = []
    tenancy = Tenancy()

    def open_them(**changes: Any) -> list[FailoverEngine]:
        found = open_engines(replace(wanted, **changes), tenancy)
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

    until(lambda: "opens no Edge TPU" in engine.degraded)
    assert np.array_equal(engine.invoke(picture)[0], of_the_twin)
    plug.put()
    until(lambda: not engine.degraded)
    assert engine.device == "edgetpu"
    assert np.array_equal(engine.invoke(picture)[0], on_device)
    assert (engine.losses, engine.diverted) == (1, 2)


@pytest.mark.parametrize("words", ["error=3", "abort=3", "crash=3", "hang=3", "shrink=3", "exit=3"])
def test_every_way_of_failing_ends_on_the_twin(
    plug: Plug, opened: Opener, wanted: Wanted, picture: Tensor, of_the_twin: Tensor, *, words: str
) -> None:
    """No frame is lost and none gets an empty result."""
    plug.put(words)
    access = replace(wanted.access, invoke_timeout_s=1.0) if words.startswith("hang") else wanted.access
    (engine,) = opened(backoff=NEVER, access=access)
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
    until(lambda: not engine.degraded)
    assert not np.array_equal(engine.invoke(picture)[0], of_the_twin)


def test_a_device_that_does_not_open_is_told_when_there_is_no_twin(plug: Plug, wanted: Wanted) -> None:
    """With what else could be done."""
    plug.put("refuse=2")
    with pytest.raises(DeviceError, match="opens no Edge TPU") as caught:
        open_engines(replace(wanted, twin=None), Tenancy())
    assert caught.value.hint.endswith("or name the model's CPU build in EDGED_MODEL_CPU, to go on without")
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
    until(lambda: not two.degraded)


def test_a_twin_that_does_not_fit_is_refused_at_the_start(wanted: Wanted, shared: Path) -> None:
    """Not at night, when the device is lost."""
    with pytest.raises(
        ConfigError, match=r"is not the CPU build of mobilenet.*: its input 'serving.*' is int8\["
    ):
        open_engines(replace(wanted, twin=shared / "models" / DETECTOR_TWIN), Tenancy())
    assert not children()


@pytest.mark.parametrize("waits", [True, False], ids=["it has waited", "it comes later"])
def test_who_runs_nowhere_else_goes_first(
    plug: Plug, opened: Opener, picture: Tensor, *, waits: bool
) -> None:
    """Whoever of them gets an Edge TPU that is plugged in: the other goes on on the CPU, and stays there."""
    if waits:
        plug.pull()
    (modest,) = opened(devices=("auto",))
    if waits:
        with pytest.raises(DeviceError):
            opened(devices=("auto",), twin=None)
        plug.put()
        until(lambda: modest.device == "edgetpu")
    assert modest.device == "edgetpu"
    (alone,) = opened(devices=("auto",), twin=None)
    assert alone.device == "edgetpu"
    assert modest.invoke(picture), "no frame is lost by it"
    assert modest.device == "cpu"
    until(lambda: "not taken away" in modest.degraded)
    alone.close()
    until(lambda: modest.device == "edgetpu")


def test_nobody_makes_way_twice_for_what_does_not_open(
    opened: Opener, wanted: Wanted, picture: Tensor
) -> None:
    """Else it would take the device from the other again and again, for nothing."""
    gone = replace(wanted.access, library="gone.so")
    (modest,) = opened(devices=("auto",))
    with pytest.raises(DeviceError):
        opened(devices=("auto",), twin=None, access=gone)
    modest.invoke(picture)
    assert "left to" in modest.degraded
    until(lambda: modest.device == "edgetpu")
    with pytest.raises(DeviceError):
        opened(devices=("auto",), twin=None, access=gone)
    assert modest.invoke(picture)
    assert modest.device == "edgetpu"


def test_closing_while_the_device_is_tried_again_leaves_nothing(
    plug: Plug, wanted: Wanted, picture: Tensor
) -> None:
    """What opens late is closed at once."""
    (engine,) = open_engines(wanted, Tenancy())
    plug.put("open_ms=1000")
    os.kill(next(iter(children())), signal.SIGKILL)
    engine.invoke(picture)
    (late,) = until(children)
    engine.close()
    until(lambda: late not in children())
    with pytest.raises(DeviceError):
        engine.invoke(picture)


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
