"""Introducing one camera to Home Assistant, and going on with what an earlier start has left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edged.mqtt.home.discovery import Entities

if TYPE_CHECKING:
    from collections.abc import Collection

    from edged.mqtt.camera.counts import Counts
    from edged.mqtt.camera.happenings import Happenings
    from edged.mqtt.home.discovery import Discovery, Remembered
    from edged.mqtt.link.session import Session
    from edged.records import State


class AnnounceNode(Protocol):
    """Tells Home Assistant of the device that several cameras lie below."""

    def __call__(self, host: frozenset[str], *, version: str) -> None:
        """With the sensors that the machine has, and the version of edged."""
        ...


class Introduction:
    """What Home Assistant is told of a camera: it grows with what is seen, and with what is remembered.

    Args:
        discovery: tells it.
        counts: labels that have a count.
        happenings: zones and lines that have topics.
        announce_node: tells of the node above the camera.
    """

    def __init__(
        self,
        discovery: Discovery,
        counts: Counts,
        happenings: Happenings,
        *,
        announce_node: AnnounceNode,
    ) -> None:
        self._discovery = discovery
        self._counts = counts
        self._happenings = happenings
        self._announce_node = announce_node
        self._host: frozenset[str] = frozenset()
        self._remembered: Remembered | None = None
        self._state: State | None = None

        self.acknowledged = discovery.acknowledged
        self.settle = discovery.settle

    def know(self, state: State) -> None:
        """Learn what the camera is now; :meth:`announce` tells it."""
        before, self._state = self._state, state
        if state.labels and (before is None or before.labels != state.labels):
            self._counts.know(state.labels)
            self._happenings.know(self._counts.possible)
        elif not state.labels and before is not None and before.model != state.model:
            self._counts.forget(seen=True)
            self._happenings.know(self._counts.possible)
        self._adopt()

    def equip(self, host: Collection[str]) -> None:
        """Learn what sensors the machine has."""
        if not self._host.issuperset(host):
            self._host = self._host.union(host)
            self.announce()

    def announce(self) -> None:
        """Tell Home Assistant, if anything is new."""
        if self._state is not None:
            self._announce_node(self._host, version=self._state.version)
        there = self._happenings
        entities = Entities(self._counts.names, self._host, there.zones, there.lines)
        self._discovery.announce(state=self._state, entities=entities)

    def ask(self, session: Session) -> None:
        """Ask for what an earlier start has announced."""
        self._discovery.ask(session, self._recall)

    def recall_count(self, topic: str, _: bytes, __: bool) -> None:  # noqa: FBT001  # a handler
        """Go on with a count that an earlier start has left."""
        if self._counts.adopt(topic.rpartition("/")[2]):
            self.announce()

    def _recall(self, _: str, payload: bytes, __: bool) -> None:  # noqa: FBT001  # a handler
        self._remembered = self._discovery.recall(payload)
        if self._remembered is not None:
            self._host |= self._remembered.host
        self._adopt()
        self.announce()
        self.settle()

    def _adopt(self) -> None:
        """Go on with the labels of an earlier start, unless it ran another model that had others."""
        state, remembered = self._state, self._remembered
        if state is None or remembered is None:
            return
        self._remembered = None
        if remembered.model is not None and remembered.model != state.model and not state.labels:
            self._counts.forget(seen=False)
            self._happenings.know(self._counts.possible)
        for key in remembered.labels:
            self._counts.adopt(key)
