"""Labels as levels of topics."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.contract.topics import Topics, slug


def test_the_topics_are_those_of_the_contract() -> None:
    topics = Topics("edged", "lab1", "front")
    assert topics.availability == "edged/lab1/availability"
    assert topics.state == "edged/lab1/state"
    assert topics.detections == "edged/lab1/front/detections"
    assert topics.timings == "edged/lab1/front/timings"
    assert topics.status == "edged/lab1/front/status"
    assert topics.snapshot == "edged/lab1/front/snapshot"
    assert topics.count("person") == "edged/lab1/front/count/person"
    assert topics.command("pause") == "edged/lab1/cmd/pause"
    assert topics.result("pause") == "edged/lab1/cmd/pause/result"


@pytest.mark.parametrize(
    ("label", "expected"),
    [("person", "person"), ("Person", "person"), ("traffic light", "traffic_light"), ("t-shirt", "t-shirt")],
)
def test_ordinary_labels_stay_readable(label: str, expected: str) -> None:
    assert slug(label) == expected


@pytest.mark.parametrize("label", ["a/b", "+", "#", "a+b", "", " ", "$SYS", "naïve", "人", "\x00", "x" * 300])
def test_hostile_labels_become_one_safe_level(label: str) -> None:
    assert re.fullmatch(r"[a-z0-9_-]{1,60}", slug(label))


@given(st.lists(st.text(max_size=12), unique_by=lambda label: " ".join(label.lower().split()), max_size=8))
def test_every_label_is_one_safe_level(labels: list[str]) -> None:
    for label in labels:
        assert re.fullmatch(r"[a-z0-9_-]{1,60}", slug(label))


def test_labels_that_look_alike_do_not_share_a_topic() -> None:
    labels = ["a/b", "a+b", "a b", "a#b", "a_b!", "人", "犬", "", "+", "#"]
    assert len({slug(label) for label in labels}) == len(labels)
