"""How often something has happened in all runs: what a file and the broker remember are counted once."""

from __future__ import annotations

import pytest

from edged.durable.totals import Totals


@pytest.fixture
def changes() -> list[str]:
    return []


@pytest.fixture
def totals(changes: list[str]) -> Totals:
    return Totals(lambda: changes.append("changed"))


def test_what_happens_is_counted_by_topic_and_every_change_is_told(
    totals: Totals, changes: list[str]
) -> None:
    assert [totals.add(topic) for topic in ("front/in", "front/in", "back/in")] == [1, 2, 1]
    assert totals.under() == {"front/in": 2, "back/in": 1}
    assert totals.under("front/") == {"front/in": 2}
    assert len(changes) == 3
    totals.forget("front/in")
    totals.forget("front/out")
    assert totals.under() == {"back/in": 1}
    assert len(changes) == 5


def test_what_a_file_has_kept_goes_on(totals: Totals, changes: list[str]) -> None:
    kept = {"in": 5}
    totals.load(kept)
    assert (totals.under(), changes) == ({"in": 5}, []), "nobody needs to write what was just read"
    assert totals.add("in") == 6
    assert kept == {"in": 5}


def test_the_broker_adds_what_the_file_did_not_know_of_and_only_once(
    totals: Totals, changes: list[str]
) -> None:
    """A file from before the last runs, or none: the broker has seen more."""
    totals.load({"in": 5, "out": 4})
    totals.add("in")
    assert totals.recall("in", 8) == 9, "three in other runs, one in this"
    assert totals.recall("in", 20) == 9
    assert totals.recall("out", 3) == 4, "the broker is behind"
    assert totals.recall("new", 7) == 7
    assert totals.under() == {"in": 9, "out": 4, "new": 7}
    assert len(changes) == 5


def test_a_topic_that_was_forgotten_begins_anew(totals: Totals) -> None:
    totals.load({"in": 5})
    totals.forget("in")
    assert totals.recall("in", 2) == 2


def test_in_a_later_session_the_broker_remembers_our_own_totals(totals: Totals) -> None:
    """Only those of the topics that were asked for before, and that we knew of by then."""
    totals.ask("front/")
    totals.add("front/in")
    assert totals.recall("front/in", 4) == 5, "the first answer is never our own"
    totals.add("front/out")
    totals.add("back/in")
    totals.ask("front/")
    assert totals.recall("front/out", 1) == 1
    totals.ask("back/")
    assert totals.recall("back/in", 3) == 4
