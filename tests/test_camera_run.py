"""When a camera's run has failed though its source and its model have not."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from edged.daemon import camera


@pytest.mark.parametrize(
    ("waits", "lost", "failure", "says"),
    [
        (True, 3, "", "did not take 3 results, the last because of a fault that has passed"),
        (True, 3, "the disk is full", "did not take 3 results, the last because the disk is full"),
        (False, 3, "the disk is full", "did not take 3 results, the last because the disk is full"),
        (False, 3, "", ""),
        (True, 0, "", ""),
    ],
)
def test_a_file_is_promised_every_result_and_a_camera_a_sink_that_works(
    waits: bool,  # noqa: FBT001
    lost: int,
    failure: str,
    says: str,
) -> None:
    """What a live run has recovered from is no failure of it."""
    outlet = SimpleNamespace(
        sink=SimpleNamespace(name="video"), lost=Counter(failed=lost, superseded=9), failure=failure
    )
    pipeline: Any = SimpleNamespace(outlets=[outlet], intake=SimpleNamespace(waits=waits))
    error = camera._broken_promise(pipeline)  # noqa: SLF001  # all that a run is made of would have to fail just so
    assert (error is None) == (says == "")
    assert says in str(error)
