"""What a node has retained at the broker, kept in step with what it is called: now, and before."""

from __future__ import annotations

import dataclasses
import threading
from functools import partial
from typing import TYPE_CHECKING

from edged.mqtt.retained.leftovers import Leftovers, filters

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from edged.contract.topics import NodeTopics
    from edged.mqtt.delivery.message import Message
    from edged.mqtt.delivery.outbox import Outbox
    from edged.mqtt.handover import Handover
    from edged.mqtt.link.session import Session
    from edged.mqtt.link.subscriptions import Handler
    from edged.mqtt.retained.names import Memory, Names


class Cleanup:
    """Takes back what has lost its name, by a reload or by a restart with other settings. Thread-safe.

    Args:
        names: of the node, without cameras: they come and go.
        outbox: takes what clears a topic.
        handover: knows the node that follows in a reload.
        named: cameras that there are by the settings; none: that is not known, and nothing is judged.
        memory: what the daemon was called before; None: what the broker tells of this node must do.
    """

    def __init__(
        self,
        names: Names,
        outbox: Outbox,
        handover: Handover,
        *,
        named: Callable[[], Collection[str]] = frozenset,
        memory: Memory | None = None,
    ) -> None:
        self._names = names
        self._outbox = outbox
        self._handover = handover
        self._named = named
        self._memory = memory
        self._former: list[Names] = []
        self._lock = threading.Lock()
        self._present: set[str] = set()
        self._cameras: set[str] = set()
        """All that have joined, for the memory."""
        self._leftovers = Leftovers(names.topics, ha_prefix=names.ha_prefix, post=outbox.post)

    def begin(self) -> None:
        """This node is in use: one that is in use beside it makes way for it."""
        self._handover.called.append(self._names)
        if self._memory is not None:
            self._former = [one for one in self._memory.read() if one.without_cameras() != self._names]
            self._keep()

    def joined(self, camera: str) -> None:
        """A camera looks after its topics from now on."""
        with self._lock:
            self._present.add(camera)
            self._cameras.add(camera)
        if self._names in self._handover.called:
            self._keep()

    def left(self, camera: str) -> bool:
        """A camera looks after its topics no longer; whether it is gone for good, and they are cleared."""
        with self._lock:
            self._present.discard(camera)
            named = self._named()
            if not named or camera in named:
                return False
            self._cameras.discard(camera)
            # First its device: Home Assistant must not read what is cleared below.
            self._leftovers.forget(camera, named=named)
            for topic in self._outbox.retained(f"{self._names.topics.base}/{camera}/"):
                self._outbox.post(topic, b"")
        return True

    def end(self) -> bytes:
        """This node goes. If one with other names follows, what that will not say is cleared.

        Returns:
            What availability says at the very end.
        """
        called, names = self._handover.called, self._names
        if names in called:
            called.remove(names)
        if not called or called[-1] == names:
            return b"offline"
        for topic in self._outbox.retained(""):
            if topic != names.topics.availability and not called[-1].covers(topic, of=names):
                self._outbox.post(topic, b"")
        return b"offline" if called[-1].topics.base == names.topics.base else b""

    # What the session tells.

    def connected(self, session: Session) -> None:
        """Ask for what the broker remembers."""
        if self._named():
            self._ask(session, self._names.topics, self._hear)
        for former in self._former:
            if former.topics.base == self._names.topics.base:
                self._clear(former)
            else:
                session.subscribe(
                    former.topics.availability, partial(self._hear_former, session, former), own=True
                )

    def acknowledged(self, message: Message) -> None:
        """``online`` comes behind everything that was to be cleared."""
        if self._former and message.topic == self._names.topics.availability:
            self._former = []
            self._keep()

    def _ask(self, session: Session, topics: NodeTopics, handler: Handler) -> None:
        for pattern in filters(topics):
            session.subscribe(pattern, handler, own=True)

    def _hear(self, topic: str, payload: bytes, _: bool) -> None:  # noqa: FBT001  # a handler
        with self._lock:  # nobody joins between the look and the word
            self._leftovers.judge(topic, payload, named=self._named(), present=self._present)

    def _hear_former(
        self,
        session: Session,
        former: Names,
        _: str,
        payload: bytes,
        __: bool,  # noqa: FBT001
    ) -> None:
        if payload == b"online":
            return  # somebody else is called so now
        self._clear(former)
        judge = Leftovers(former.topics, ha_prefix="", post=self._outbox.post).judge
        self._ask(
            session, former.topics, lambda topic, content, _: judge(topic, content, named=(), present=())
        )

    def _clear(self, former: Names) -> None:
        for topic in former.fixed():
            if not self._names.covers(topic, of=former):
                self._outbox.post(topic, b"")

    def _keep(self) -> None:
        if self._memory is not None:
            with self._lock:
                ours = dataclasses.replace(self._names, cameras=tuple(sorted(self._cameras)))
                self._memory.write([*self._former, ours])  # two at once would write into one file
