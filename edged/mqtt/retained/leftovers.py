"""What a broker remembers of cameras, nodes and prefixes that are gone: nothing outlives its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.contract.topics import NodeTopics, Topics, slug
from edged.mqtt.home.discovery import config_topic, node_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator


_KINDS = ("status", "state", "count/+", "occupancy/#", "last_seen/#", "zone/#", "line/#")
"""What a camera retains; pictures are left out."""


def filters(topics: NodeTopics) -> tuple[str, ...]:
    """What to ask a broker for, to hear of every camera that it remembers; pictures are left out."""
    return tuple(f"{topics.base}/+/{kind}" for kind in _KINDS)


def of_camera(topics: NodeTopics, camera: str, ha_prefix: str) -> Iterator[str]:
    """Topics of a camera that are retained whatever it has seen, and its device at Home Assistant."""
    its = Topics(topics.prefix, topics.node, camera)
    if ha_prefix:
        yield config_topic(ha_prefix, f"{node_id(topics)}--{slug(camera)}")
    yield from (its.status, its.camera_state, its.snapshot)


def of_node(topics: NodeTopics, ha_prefix: str) -> Iterator[str]:
    """Topics of a node itself, and its device at Home Assistant."""
    if ha_prefix:
        yield config_topic(ha_prefix, node_id(topics))
    yield from (topics.availability, topics.state)


class Leftovers:
    """Judges what a broker remembers of the cameras of a node. Called from one thread at a time.

    Args:
        topics: the node's.
        ha_prefix: where its cameras were announced to Home Assistant; empty: nowhere.
        post: publishes a retained value.
    """

    def __init__(self, topics: NodeTopics, *, ha_prefix: str, post: Callable[[str, bytes], None]) -> None:
        self._topics = topics
        self._ha_prefix = ha_prefix
        self._post = post

    def judge(self, topic: str, payload: bytes, *, named: Collection[str], present: Collection[str]) -> None:
        """One retained message: cleared if its camera is gone, and put right if that is not there yet.

        Args:
            topic: below the node's base.
            payload: what is retained there.
            named: cameras that there are by the settings.
            present: cameras that look after their topics themselves.
        """
        camera, _, rest = topic.removeprefix(f"{self._topics.base}/").partition("/")
        if camera == "cmd" or camera in present:
            return
        if camera in named:
            true = _of_nobody(rest)
            if true not in {b"", payload}:
                self._post(topic, true)
            return
        self._post(topic, b"")
        if rest == "status":
            self.forget(camera, named=named)
        elif rest.startswith("count/"):
            its = Topics(self._topics.prefix, self._topics.node, camera)
            self._post(its.best(rest.removeprefix("count/")), b"")

    def forget(self, camera: str, *, named: Collection[str]) -> None:
        """Clear what a camera that is gone has retained whatever it has seen."""
        # Two names may be one id at Home Assistant.
        taken = slug(camera) in {slug(name) for name in named}
        for topic in of_camera(self._topics, camera, "" if taken else self._ha_prefix):
            self._post(topic, b"")


def _of_nobody(kind: str) -> bytes:
    """What is true of a camera that is not there; empty where it stays as it was."""
    match kind.split("/"):
        case ["status"]:
            return b"offline"
        case ["count", _] | ["zone", _, "count", _]:
            return b"0"
        case ["occupancy"] | ["zone", _, "occupancy"]:
            return b"OFF"
    return b""
