"""Home Assistant's device discovery: what there is to announce, where, and under which id.

https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edged.contract.topics import slug

if TYPE_CHECKING:
    from edged.contract.topics import NodeTopics


@dataclass(frozen=True, slots=True)
class Announced:
    """What Home Assistant is told of a node and all its cameras."""

    prefix: str = "homeassistant"
    """Home Assistant's discovery prefix."""
    wanted: bool = False
    """Whether to announce at all; if not, what an earlier start has announced is taken back."""
    several: bool = False
    """Whether each camera is a device of its own below the node's, with topics for state and commands."""
    expire_after_s: float = 30.0
    """After so long a periodic value without news is unknown."""
    commands: bool = False
    """Whether commands are obeyed."""
    updates: bool = False
    """Whether somebody is asked for a newer version."""


def node_id(topics: NodeTopics) -> str:
    """Id of the node's device."""
    return f"edged_{slug(topics.node)}"


def config_topic(prefix: str, device: str) -> str:
    """Where a device is announced."""
    return f"{prefix}/device/{device}/config"
