"""Whatever a camera retains is taken back when the camera goes, what the contract gains later, too."""

from __future__ import annotations

from paho.mqtt.client import topic_matches_sub

from edged.contract.schema import document
from edged.contract.topics import NodeTopics, Topics
from edged.mqtt.retained.leftovers import filters, of_camera

HERE = {"prefix": "edged", "node": "lab1", "camera": "yard", "label": "person"}


def test_all_that_a_camera_retains_is_looked_for_or_known() -> None:
    topics = NodeTopics("edged", "lab1")
    known = set(of_camera(topics, "yard", ""))
    whole = document()
    retained = [
        channel["address"].format(**HERE, zone="porch", line="gate", direction="in")
        for name, channel in whole["channels"].items()
        if "{camera}" in channel["address"] and whole["operations"][name]["bindings"]["mqtt"]["retain"]
    ]
    assert len(retained) > 8
    pictures = Topics("edged", "lab1", "yard").best("person")
    for topic in retained:
        if topic != pictures:  # goes with its count
            assert topic in known or any(topic_matches_sub(kind, topic) for kind in filters(topics)), topic
