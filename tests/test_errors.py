"""The exception tree: every error has its exit code and tells what is wrong, then the hint."""

from __future__ import annotations

import pytest

from edged import errors
from edged.errors import (
    ConfigError,
    DeviceError,
    EdgedError,
    ModelError,
    OutputError,
    SinkError,
    SourceError,
    nearest,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ConfigError, 78),
        (ModelError, 78),
        (OutputError, 78),
        (DeviceError, 69),
        (SourceError, 69),
        (SinkError, 73),
        (EdgedError, 1),
    ],
)
def test_each_kind_ends_the_command_with_its_code(kind: type[EdgedError], code: int) -> None:
    assert kind.exit_code == code
    assert issubclass(kind, EdgedError)


def test_there_are_no_kinds_without_a_test() -> None:
    found = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    assert found == {EdgedError, ConfigError, ModelError, OutputError, DeviceError, SourceError, SinkError}


@pytest.mark.parametrize(
    ("problem", "hint", "text"),
    [
        ("the model is cut off", "Get it again", "the model is cut off. Get it again."),
        ("the model is cut off.", "Get it again!", "the model is cut off. Get it again!"),
        ("is it plugged in?", "", "is it plugged in?"),
    ],
)
def test_a_message_is_the_problem_and_the_mend_as_sentences(problem: str, hint: str, text: str) -> None:
    error = ConfigError(problem, hint=hint)
    assert str(error) == text
    assert (error.problem, error.hint) == (problem, hint)
    assert str(ConfigError(problem)) == problem.removesuffix(".") + ("" if problem.endswith("?") else ".")


def test_what_may_have_been_meant_is_the_most_alike_in_its_own_letters() -> None:
    known = ("EDGED_Source", "EDGED_SOURCES", "EDGED_SINK")
    assert nearest("edged_sourc", known) == "EDGED_Source"
    assert nearest("EDGED_SOURCESS", known) == "EDGED_SOURCES"
    assert nearest("PATH", known) == ""
    assert nearest("PATH", ()) == ""
