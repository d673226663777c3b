"""``edged run`` with a mistake in it, such as an engine that fails from its n-th invoke on: for tests.

python faulty_daemon.py hang|fail|break|reload N [arguments of edged run]

With ``once`` behind it (``fail-once``) only the n-th invoke is meant.
"""

from __future__ import annotations

import itertools
import sys
import time
from typing import TYPE_CHECKING

from edged.cli import main
from edged.engines.cpu import CpuEngine
from edged.errors import DeviceError
from edged.model import detector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.engines.pool import EnginePools
    from edged.model.detector import Detector
    from edged.records import Tensor
    from edged.settings.declared import Settings

FAULT, _, ONCE = sys.argv[1].partition("-")
FROM = int(sys.argv[2])
_invoke = CpuEngine.invoke
_numbers = itertools.count()


def invoke(self: CpuEngine, tensor: Tensor) -> Sequence[Tensor]:
    """As the engine does it, until it does not."""
    number = next(_numbers)
    if number < FROM or (ONCE and number > FROM):
        return _invoke(self, tensor)
    if FAULT == "hang":
        time.sleep(3600)
    if FAULT == "fail":
        raise DeviceError("the device is gone", hint="Plug it in again")
    raise ZeroDivisionError("a mistake in edged")


_load = detector.load


loaded: list[Detector] = []


def load(settings: Settings, *, pools: EnginePools | None = None) -> Detector:
    """As it is, but not for a reload."""
    if FAULT == "reload" and loaded:
        raise ZeroDivisionError("a mistake in edged")
    loaded.append(_load(settings, pools=pools))
    return loaded[-1]


detector.load = load
CpuEngine.invoke = invoke  # type: ignore[method-assign]  # the one fault that no real part can be made to have

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[3:]]))
