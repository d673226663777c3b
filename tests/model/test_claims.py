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


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ((FIRST, SECOND), (SECOND,), f"want Edge TPU {SECOND}, with another EDGED_DEVICE"),
        ((FIRST, SECOND), (SECOND, FIRST), f"want Edge TPU {FIRST}, with another EDGED_DEVICE"),
        (("auto",), (FIRST,), "want an Edge TPU, and none says which, with another EDGED_DEVICE"),
    ],
)
def test_what_differs_is_named(
    one: tuple[str, ...], other: tuple[str, ...], words: str, shared: Path
) -> None:
    model = shared / "models" / "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
    cameras = [
        Settings(model=model, source="-", camera=name, device=devices)
        for name, devices in (("a", one), ("b", other))
    ]
    with pytest.raises(ConfigError) as told:
        claims.check(cameras)
    assert told.value.problem == f"the cameras 'a' and 'b' {words}"


def test_each_with_its_own_is_fine(shared: Path) -> None:
    model = shared / "models" / "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
    claims.check([Settings(model=model, source="-", camera=name, device=(name,)) for name in (FIRST, SECOND)])
