"""Which engines settings ask for, and what does not go together."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from coral_rig import DETECTOR, DETECTOR_TWIN, children
from daemon import until
from loaded import load

from edged.engines.pool import EnginePools
from edged.errors import ConfigError, DeviceError, ModelError
from edged.model import detector
from edged.settings import declared, loading

if TYPE_CHECKING:
    from pathlib import Path

    from coral_rig import Plug

    from edged.engines.coral.edgetpu import TpuAccess


def _settings(shared: Path, access: TpuAccess, **changes: str) -> declared.Settings:
    models = shared / "models"
    values = {
        "EDGED_SOURCE": "synthetic:",
        "EDGED_MODEL": str(models / DETECTOR),
        "EDGED_MODEL_CPU": str(models / DETECTOR_TWIN),
        "EDGED_EDGETPU_LIBRARY": access.library,
    }
    values |= {f"EDGED_{name.upper()}": value for name, value in changes.items()}
    return loading.load(environ={name: value for name, value in values.items() if value})


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
    shared: Path, plug: Plug, access: TpuAccess, changes: dict[str, str], devices: list[str]
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
    shared: Path, access: TpuAccess, plug: Plug
) -> None:
    """``auto`` looks at the model first."""
    settings = _settings(shared, access, model=str(shared / "models" / DETECTOR_TWIN), model_cpu="")
    loaded = detector.load(settings)
    assert loaded.engines[0].device == "cpu"
    assert not plug.opened()
    loaded.close()


def test_auto_finds_the_twin_beside_the_model(
    shared: Path, access: TpuAccess, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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


def test_who_has_not_asked_for_a_device_leaves_it_to_who_has_it(
    shared: Path, access: TpuAccess, plug: Plug, tmp_path: Path
) -> None:
    """Both have models that run on the CPU as well; the second gets the device once the first has gone."""
    shutil.copy(shared / "models" / DETECTOR, tmp_path / "other_edgetpu.tflite")
    pools = EnginePools()
    first = detector.load(_settings(shared, access), pools=pools)
    other = _settings(shared, access, model=str(tmp_path / "other_edgetpu.tflite"))
    second = detector.load(other, pools=pools)
    assert [one.engines[0].device for one in (first, second)] == ["edgetpu", "cpu"]
    assert f"an Edge TPU runs {DETECTOR}, and it is not taken away" in second.engines[0].degraded
    assert len(plug.opened()) == 1
    first.close()
    until(lambda: second.engines[0].device == "edgetpu")
    assert len(plug.opened()) == 2
    second.close()
    assert not children()


def test_a_reload_shares_the_device_with_the_detector_in_use(
    shared: Path, access: TpuAccess, plug: Plug
) -> None:
    """It serves one process, so nothing else could be opened beside it; the last of the two closes it."""
    pools = EnginePools()
    first = detector.load(_settings(shared, access, model_cpu=""), pools=pools)
    changed = _settings(shared, access, model_cpu="", score_threshold="0.7")
    second = detector.load(changed, pools=pools)
    assert len(plug.opened()) == 1
    first.close()
    assert second.engines[0].invoke(second.preprocess.new_input())
    assert second.health()["edgetpu_lost"] == 0
    with pytest.raises(DeviceError, match="opens no Edge TPU"):
        detector.load(_settings(shared, access, model_cpu="", threads="7"), pools=pools)
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
    shared: Path, access: TpuAccess, changes: dict[str, str], error: type[Exception], reason: str
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
    with pytest.raises(ConfigError, match=reason):
        load(**{f"EDGED_{name}": value})
