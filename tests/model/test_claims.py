"""Two cameras that want one Edge TPU in two ways are told which Edge TPU, and what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edged.errors import ConfigError
from edged.model import claims
from edged.settings.declared import Settings

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND = "edgetpu:usb:0", "edgetpu:usb:1"


def plug_in(root: Path) -> None:
    """An Edge TPU, as the kernel tells of it."""
    port = root / "sys/bus/usb/devices/2-1"
    port.mkdir(parents=True)
    (port / "idVendor").write_text("18d1\n")
    (port / "idProduct").write_text("9302\n")


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ((FIRST, SECOND), (SECOND,), f"want Edge TPU {SECOND}, with another EDGED_DEVICE"),
        ((FIRST, SECOND), (SECOND, FIRST), f"want Edge TPU {FIRST}, with another EDGED_DEVICE"),
        (("auto",), (FIRST,), "want an Edge TPU, and none says which, with another EDGED_DEVICE"),
    ],
)
def test_what_differs_is_named(
    one: tuple[str, ...], other: tuple[str, ...], words: str, shared: Path, tmp_path: Path
) -> None:
    model = shared / "models" / "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
    cameras = [
        Settings(model=model, source="-", camera=name, device=devices)
        for name, devices in (("a", one), ("b", other))
    ]
    plug_in(tmp_path)
    with pytest.raises(ConfigError) as told:
        claims.check(cameras, tmp_path)
    assert told.value.problem == f"the cameras 'a' and 'b' {words}"


def test_each_with_its_own_is_fine(shared: Path) -> None:
    model = shared / "models" / "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
    claims.check([Settings(model=model, source="-", camera=name, device=(name,)) for name in (FIRST, SECOND)])


def test_who_has_not_asked_for_an_edge_tpu_waits_for_none(shared: Path, tmp_path: Path) -> None:
    """Two models run on the CPU until somebody plugs one in and starts anew."""
    model = shared / "models" / "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
    other = tmp_path / "other_edgetpu.tflite"
    other.write_bytes(model.read_bytes())
    cameras = [Settings(model=one, source="-", camera=one.stem) for one in (model, other)]
    (tmp_path / "other.tflite").write_bytes(
        (model.with_name("mobilenet_v1_0.25_128_quant.tflite")).read_bytes()
    )
    claims.check(cameras, tmp_path)
    plug_in(tmp_path)
    with pytest.raises(ConfigError, match="an Edge TPU, and none says which, with another EDGED_MODEL"):
        claims.check(cameras, tmp_path)
    asking = [one.model_copy(update={"device": ("edgetpu",)}) for one in cameras]
    with pytest.raises(ConfigError):
        claims.check(asking, tmp_path / "nowhere")
