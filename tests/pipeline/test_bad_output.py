"""A model whose output is none: told, counted, never published as 'nothing seen'."""

from __future__ import annotations

import pytest
from parts import Rig, Sink, Source, detector
from structlog.testing import capture_logs

from edged.errors import OutputError


def bad_when_odd(number: int) -> None:
    if number % 2:
        raise OutputError(f"the output for {number} is none")


def test_a_bad_output_costs_its_own_frame_and_is_in_the_ledger() -> None:
    """The other frames become results; a run over a file says at its end that some are missing."""
    sink = Sink()
    rig = Rig(Source(9), detector(decode=bad_when_odd), sink)
    with capture_logs() as logs, pytest.raises(OutputError, match="the output for 1 is none"):
        rig.go()
    counts = rig.closed()
    assert sink.ids == [0, 2, 4, 6, 8]
    assert counts.dropped == {"bad_output": 4}
    told = [entry["frame_id"] for entry in logs if entry["event"] == "bad_output"]
    assert told == [1], "once, not for every frame"
    assert rig.pipeline.problem == "", "the last frame was believed"


def test_a_camera_is_not_given_up_for_it() -> None:
    """A live source goes on, and what is wrong with the last frame is told as the pipeline's problem."""
    rig = Rig(Source(1, live=True), detector(decode=lambda number: bad_when_odd(number + 1)), Sink())
    counts = rig.go()
    assert counts.dropped == {"bad_output": 1}
    assert "the output for 1 is none" in rig.pipeline.problem
