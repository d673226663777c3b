"""What all nodes below a prefix say of themselves: their retained states, gathered from one broker."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edged.mqtt.one_shot.visit import visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import Client

    from edged.mqtt.link.client import BrokerAccess

RETAINED_S = 1.0
"""Retained states come at once and in any order: they are waited for so long in any case."""
_STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class CameraView:
    """One camera as its node tells of it. What nobody has said is empty, or None."""

    node: str
    camera: str
    condition: str
    """``ok``, ``degraded``, ``silent`` (said to run, and nothing comes) or ``offline``."""
    lifecycle: str
    fps: float | None
    """Results a second over its last interval."""
    model: str
    device: str
    version: str
    degraded: tuple[str, ...]
    heard: float | None
    """When it last said something, UTC, seconds since the epoch."""


@dataclass(slots=True)
class _Node:
    availability: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    cameras: dict[str, _Camera] = field(default_factory=dict)

    def camera(self, name: str) -> _Camera:
        return self.cameras.setdefault(name, _Camera())


@dataclass(slots=True)
class _Camera:
    state: dict[str, Any] = field(default_factory=dict)
    status: str = ""
    timings: dict[str, Any] = field(default_factory=dict)
    timed: float | None = None
    """When timings came last, by the monotonic clock."""


class FleetStates:
    """What was heard so far. A pure fold of messages: it connects to nothing.

    Both layouts are read: one state a node, and one a node with one a camera beside it.

    Args:
        prefix: first topic level.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._nodes: dict[str, _Node] = {}
        self._asks = False

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to."""
        below = ("+/availability", "+/state", "+/+/state", "+/+/status", "+/+/timings")
        return tuple(f"{self._prefix}/{topic}" for topic in below)

    def ask(self) -> tuple[str, ...]:
        """What to subscribe to by name, since nothing was kept of nodes that send.

        Some brokers, RabbitMQ for one, give what is retained only to those who ask for that very topic.
        """
        topics = []
        for name, node in self._nodes.items():
            if not node.availability:
                topics += [f"{name}/availability", f"{name}/state"]
                topics += [
                    f"{name}/{camera}/{what}" for camera in node.cameras for what in ("state", "status")
                ]
        self._asks |= bool(topics)
        return tuple(f"{self._prefix}/{topic}" for topic in topics)

    def take(self, topic: str, payload: bytes, now: float) -> None:
        """One message; ``now`` is of the monotonic clock, seconds."""
        match topic.removeprefix(f"{self._prefix}/").split("/"):
            case [node, "availability" | "state"] if not payload:
                self._nodes.pop(node, None)  # what is retained was taken back: the node is gone for good
            case [node, camera, "state" | "status"] if not payload:
                self._node(node).cameras.pop(camera, None)
            case [node, "availability"]:
                self._node(node).availability = payload.decode(errors="replace")
            case [node, "state"]:
                self._node(node).state = self._read(node, topic, payload)
            case [node, camera, "state"]:
                self._node(node).camera(camera).state = self._read(node, topic, payload)
            case [node, camera, "status"]:
                self._node(node).camera(camera).status = payload.decode(errors="replace")
            case [node, camera, "timings"]:
                known = self._node(node).camera(camera)
                known.timings, known.timed = self._read(node, topic, payload), now

    def _node(self, name: str) -> _Node:
        return self._nodes.setdefault(name, _Node())

    def _read(self, node: str, topic: str, payload: bytes) -> dict[str, Any]:
        with suppress(ValueError):
            content = json.loads(payload)
            if isinstance(content, dict):
                return content
        self._node(node).faults.append(f"{topic} holds no JSON object")
        return {}

    def waits(self) -> bool:
        """Whether a camera that is said to run has sent no timings yet, or may not have been heard of."""
        return (
            not self._nodes
            or self._asks
            or any(
                camera.timed is None
                for node in self._nodes.values()
                if node.availability == "online"
                for camera in (node.cameras or {"": _Camera()}).values()
            )
        )

    def views(self, *, now: float, silent_s: float) -> tuple[CameraView, ...]:
        """Every camera, by node and name.

        Args:
            now: of the monotonic clock, seconds.
            silent_s: without timings for so long, one that is said to run counts as silent.
        """
        return tuple(
            _view(node_name, node, name, camera, since=now - silent_s)
            for node_name, node in sorted(self._nodes.items())
            for name, camera in sorted((node.cameras or {"": _Camera()}).items())
        )


def _view(node_name: str, node: _Node, name: str, camera: _Camera, *, since: float) -> CameraView:
    told = node.state | camera.state
    reasons = [*_of_all(node, name), *_reasons(camera.state), *node.faults]
    if camera.status == "offline" and not reasons:
        reasons.append("the camera is lost")
    lifecycle = str(told.get("lifecycle", ""))
    spoke = camera.timed is not None and camera.timed >= since
    if node.availability != "online" or lifecycle == _STOPPED:
        condition = "offline"
    elif not spoke:
        condition = "silent"
    else:
        condition = "degraded" if reasons else "ok"
    heard = [
        float(content["ts"])
        for content in (node.state, camera.state, camera.timings)
        if isinstance(content.get("ts"), int | float)
    ]
    fps = camera.timings.get("fps")
    return CameraView(
        node=node_name,
        camera=name,
        condition=condition,
        lifecycle=lifecycle,
        fps=float(fps) if isinstance(fps, int | float) else None,
        model=str(told.get("model", "")),
        device=str(told.get("device", "")),
        version=str(told.get("version", "")),
        degraded=tuple(dict.fromkeys(reasons)),
        heard=max(heard, default=None),
    )


def _of_all(node: _Node, name: str) -> list[str]:
    """What a node says of itself, without the reasons of cameras that are told with each."""
    told = [other for other, camera in node.cameras.items() if other != name or camera.state]
    return [
        reason
        for reason in _reasons(node.state)
        if not any(reason.startswith(f"{other}: ") for other in told if other)
    ]


def _reasons(state: dict[str, Any]) -> list[str]:
    given = state.get("degraded")
    return [str(reason) for reason in given] if isinstance(given, list) else []


def listen(access: BrokerAccess, states: FleetStates, enough: Callable[[], bool]) -> None:
    """Hand the broker's messages to ``states`` until there are ``enough``; asked several times a second.

    Once what is retained has had its time to come, what they :meth:`~FleetStates.ask` is subscribed to, too.

    Raises:
        SourceError: the broker cannot be reached, refuses us or is lost.
    """
    asked: set[str] = set()
    settled = time.monotonic() + RETAINED_S

    def look(client: Client) -> bool:
        if time.monotonic() >= settled and (topics := set(states.ask()) - asked):
            client.subscribe([(topic, 1) for topic in sorted(topics)])
            asked.update(topics)
        return enough()

    visit(
        access,
        states.filters,
        lambda message: states.take(message.topic, bytes(message.payload), time.monotonic()),
        look,
    )
