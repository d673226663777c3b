"""One Edge TPU in its own process: whatever happens there, edged goes on and can say what it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from coral_rig import CLASSIFIER, DETECTOR, build, children, gone
from daemon import until

from edged import bridge
from edged.engines import runtime
from edged.engines.coral.edgetpu import EdgeTpuEngine, TpuAccess
from edged.errors import ConfigError, DeviceError, EdgedError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coral_rig import Plug

    from edged.records import Tensor


@pytest.fixture
def model(shared: Path) -> Path:
    return shared / "models" / CLASSIFIER


def _picture(engine: EdgeTpuEngine, value: int) -> Tensor:
    return np.full(engine.inputs[0].shape, value, engine.inputs[0].dtype)


@pytest.fixture
def engine(model: Path, access: TpuAccess) -> Iterator[EdgeTpuEngine]:
    opened = EdgeTpuEngine(model, access)
    yield opened
    opened.close()


@pytest.mark.parametrize("name", [CLASSIFIER, DETECTOR])
def test_outputs_are_those_of_the_same_model_in_this_process(
    shared: Path, plug: Plug, access: TpuAccess, name: str
) -> None:
    """The way through the child changes nothing, bit for bit."""
    plug.put("usb=2")
    model = shared / "models" / name
    chosen = runtime.load()
    delegate = chosen.load_delegate(access.library, {"device": "usb:1"})
    interpreter = chosen.interpreter(model_path=str(model), experimental_delegates=[delegate])
    interpreter.allocate_tensors()
    engine = EdgeTpuEngine(model, access)
    random = np.random.default_rng(7)
    for _ in range(5):
        tensor = random.integers(0, 100, engine.inputs[0].shape).astype(engine.inputs[0].dtype)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], tensor)
        interpreter.invoke()
        expected = [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]
        for ours, theirs in zip(engine.invoke(tensor), expected, strict=True):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)
    engine.close()
    assert engine.runtime == str(chosen)


def test_outputs_are_the_callers_own(engine: EdgeTpuEngine) -> None:
    """A result stays as it is when the next frame comes."""
    first = engine.invoke(_picture(engine, 1))
    kept = [output.copy() for output in first]
    second = engine.invoke(_picture(engine, 2))
    assert all(np.array_equal(one, other) for one, other in zip(first, kept, strict=True))
    assert not np.array_equal(first[0], second[0])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "pci0"),
        ({"device": "edgetpu:usb:1"}, "usb1 device=usb:1"),
        (
            {"device": "edgetpu:pci:0", "options": (("Performance", "Low"),)},
            "pci0 device=pci:0 Performance=Low",
        ),
        # Without a number the library would not heed it.
        ({"options": (("Usb.AlwaysDfu", "True"),)}, "pci0 device=:0 Usb.AlwaysDfu=True"),
    ],
)
def test_the_library_gets_device_and_options(
    model: Path, plug: Plug, access: TpuAccess, changes: dict[str, Any], told: str
) -> None:
    """In the words that libedgetpu understands."""
    plug.put("usb=2 pci=1")
    EdgeTpuEngine(model, replace(access, **changes)).close()
    assert plug.opened() == [told]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("refuse=1", "opens no Edge TPU: fake edgetpu: this device takes nobody: "),
        ("refuse=2", "opens no Edge TPU: "),
        ("usb=0", "opens no Edge TPU: "),
        ("claim=0", "takes nothing of the model"),
        (
            "crash=open",
            r"crashed \(SIGSEGV\) while opening the Edge TPU. Perhaps .* built on TensorFlow 2.16.1",
        ),
        ("crash=prepare", r"crashed \(SIGSEGV\) while loading the model on the Edge TPU"),
        ("error=1", "failed to run the model: fake edgetpu: the device does not obey"),
        (
            "abort=1",
            r"gave up \(SIGABRT\) while running the model for the first time \(F .* USB transfer error",
        ),
        ("open_ms=60000", "opening the Edge TPU took longer than 5 s"),
        ("hang=1", "running the model for the first time took longer than 5 s"),
    ],
)
def test_what_keeps_a_device_from_opening_is_told(
    model: Path, plug: Plug, access: TpuAccess, words: str, reason: str
) -> None:
    """As a DeviceError that names the step, and with nothing left behind."""
    plug.put(words)
    before = children()
    patience_s = 5.0 if "took longer" in reason else access.open_timeout_s
    with pytest.raises(DeviceError, match=reason):
        EdgeTpuEngine(model, replace(access, open_timeout_s=patience_s))
    assert children() == before


def test_an_absent_library_is_told(model: Path, access: TpuAccess) -> None:
    """With where to get one."""
    with pytest.raises(DeviceError, match=r"libnowhere.so.1 .* is not installed. Install a libedgetpu"):
        EdgeTpuEngine(model, replace(access, library="libnowhere.so.1"))


@pytest.mark.parametrize(
    ("library", "reason"),
    [
        ("libc.so.6", "is not for the Edge TPU: it has no tflite_plugin_create_delegate"),
        (__file__, "cannot be loaded"),
    ],
)
def test_a_wrong_library_is_told(model: Path, access: TpuAccess, library: str, reason: str) -> None:
    """One without the entry, and a file that is none."""
    with pytest.raises(DeviceError, match=reason):
        EdgeTpuEngine(model, replace(access, library=library))


def test_a_library_that_does_not_fit_is_never_used(
    model: Path, plug: Plug, access: TpuAccess, tmp_path: Path
) -> None:
    """Google's own is built on TensorFlow 2.5 and would crash: it is refused by what it says of itself."""
    old = build(tmp_path, built_on="a4dfb8d1a71385bd6d122e4f27f86dcebb96712d")
    with pytest.raises(DeviceError, match=r"must not be used: it was built on TensorFlow 2.5.0"):
        EdgeTpuEngine(model, replace(access, library=str(old)))
    assert not plug.opened()


def test_errors_that_are_no_fault_of_the_device_keep_their_kind(shared: Path, access: TpuAccess) -> None:
    """A model with three inputs and a runtime that is not there do not mend themselves: exit code 78."""
    with pytest.raises(ModelError, match="has 3 inputs"):
        EdgeTpuEngine(shared / "models" / "automl_traffic_lstm_3inputs.tflite", access)
    with pytest.raises(ConfigError, match="is no TFLite runtime"):
        EdgeTpuEngine(shared / "models" / CLASSIFIER, replace(access, runtime="tensorflow"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("error=3", "failed to run the model: fake edgetpu: the device does not obey"),
        ("abort=3", r"gave up \(SIGABRT\) in an invoke \(F .* USB transfer error 2"),
        ("crash=3", r"crashed \(SIGSEGV\) in an invoke"),
        ("exit=3", r"ended by itself \(exit code 3\) in an invoke"),
        ("hang=3", "no answer to an invoke within 2 s"),
        ("shrink=3", r"an output of the wrong size: .* is uint8\[1\], not uint8\[1, 1001\]"),
    ],
)
def test_what_ends_an_invoke_is_told_and_is_never_a_result(
    model: Path, plug: Plug, access: TpuAccess, words: str, reason: str
) -> None:
    """After it the engine stays failed, at once and for the same reason, and its process is gone."""
    plug.put(words)
    engine = EdgeTpuEngine(model, access)
    engine.invoke(_picture(engine, 0))  # the second: opening has run the first
    with pytest.raises(DeviceError, match=reason) as caught:
        engine.invoke(_picture(engine, 1))
    assert gone(engine.pid)
    started = time.monotonic()
    with pytest.raises(DeviceError, match=reason):
        engine.invoke(_picture(engine, 2))
    assert time.monotonic() - started < 1.5  # less than it may take
    assert "Look after its cable" in caught.value.hint
    engine.close()


def test_unplugging_ends_the_engine_and_not_edged(plug: Plug, engine: EdgeTpuEngine) -> None:
    """libedgetpu aborts then."""
    plug.pull()
    with pytest.raises(DeviceError, match="SIGABRT"):
        engine.invoke(_picture(engine, 0))


def test_signals_to_all_processes_do_not_end_the_child(engine: EdgeTpuEngine) -> None:
    """systemd and a terminal send them to edged and its child at once; edged still has frames to finish."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(engine.pid, number)
    time.sleep(0.1)
    assert engine.invoke(_picture(engine, 0))


def test_a_killed_child_is_told(engine: EdgeTpuEngine) -> None:
    """The kernel does that when memory runs out."""
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(DeviceError, match=r"was killed \(SIGKILL: by hand, or memory ran out\) in an invoke"):
        engine.invoke(_picture(engine, 0))


def test_the_child_outlives_the_thread_that_started_it(model: Path, access: TpuAccess) -> None:
    """Threads come and go; only the end of edged ends the child."""
    opened: list[EdgeTpuEngine] = []
    bridge.start("opens", lambda: opened.append(EdgeTpuEngine(model, access))).join()
    time.sleep(0.2)
    assert opened[0].invoke(_picture(opened[0], 0))
    opened[0].close()


@pytest.mark.parametrize("words", ["", "open_ms=60000"], ids=["waiting", "hanging with the interpreter lock"])
def test_the_child_dies_with_edged(model: Path, plug: Plug, access: TpuAccess, words: str) -> None:
    """Even if edged is killed, and even if the child is inside the library."""
    plug.put(words)
    script = (
        "import sys, time; from edged.engines.coral.edgetpu import *\n"
        "engine = EdgeTpuEngine(sys.argv[1], TpuAccess(library=sys.argv[2]))\n"
        "print('open', flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, model, access.library], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    (child,) = until(lambda: children(parent.pid))
    if words:
        time.sleep(1.5)
    else:
        assert parent.stdout.readline() == b"open\n"
    assert not gone(child)
    parent.kill()
    until(lambda: gone(child), limit_s=20.0)
    parent.wait()
    parent.stdout.close()


def test_nothing_is_left_behind(model: Path, plug: Plug, access: TpuAccess) -> None:
    """Neither a process nor a descriptor, those of the shared memory among them, however an engine ends."""

    def left() -> tuple[set[int], int]:
        return children(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # names are all that is wanted

    EdgeTpuEngine(model, access).close()
    before = left()
    for words in ["", "abort=2", "hang=2", "refuse=2", "crash=open", "hang=1"]:
        plug.put(words)
        try:
            engine = EdgeTpuEngine(model, replace(access, invoke_timeout_s=0.3, open_timeout_s=1.0))
            engine.invoke(_picture(engine, 0))
            engine.close()
        except EdgedError:
            pass
    assert left() == before


def test_other_threads_run_while_a_device_takes_its_time_to_open(
    model: Path, plug: Plug, access: TpuAccess
) -> None:
    """The library holds the interpreter lock all the time, but that of its own process."""
    plug.put("open_ms=2500")
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.01):
            ticks.append(time.monotonic())

    ticker = bridge.start("ticks", tick)
    started = time.monotonic()
    engine = EdgeTpuEngine(model, access)
    took = time.monotonic() - started
    done.set()
    ticker.join()
    engine.close()
    assert took > 2.5
    assert max(later - earlier for earlier, later in pairwise(ticks)) < 2.0


def test_closing_ends_an_invoke_that_hangs(model: Path, plug: Plug, access: TpuAccess) -> None:
    """A stop does not wait for the deadline of an invoke."""
    plug.put("hang=2")
    engine = EdgeTpuEngine(model, replace(access, invoke_timeout_s=60.0))
    ends: list[str] = []

    def invoke() -> None:
        try:
            engine.invoke(_picture(engine, 0))
        except DeviceError as error:
            ends.append(error.problem)

    thread = bridge.start("hangs", invoke)
    time.sleep(0.3)
    started = time.monotonic()
    engine.close()
    thread.join(30.0)
    assert time.monotonic() - started < 30.0
    assert "SIGKILL" in ends[0]
