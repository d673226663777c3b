"""A plug-in is imported when it is asked for, and what goes wrong then is told as it is."""

from __future__ import annotations

from fractions import Fraction

import pytest

from edged import registry


def test_a_plug_in_is_what_its_name_leads_to() -> None:
    assert registry.load("fractions:Fraction") is Fraction


@pytest.mark.parametrize(
    ("path", "error"), [("edged.nowhere:Nobody", ModuleNotFoundError), ("fractions:Nobody", AttributeError)]
)
def test_an_import_that_fails_is_not_swallowed(path: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"nowhere|Nobody"):
        registry.load(path)
