"""What a daemon is called at the broker, and what it was called before."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from edged.contract.topics import NodeTopics
from edged.durable.spool_folder import keep, read_kept
from edged.mqtt.home.discovery import node_id
from edged.mqtt.retained import leftovers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Names:
    """All that topics are made of."""

    prefix: str
    node: str
    ha_prefix: str
    """Home Assistant's; empty where nothing is announced."""
    cameras: tuple[str, ...] = ()

    @property
    def topics(self) -> NodeTopics:
        """The node's."""
        return NodeTopics(self.prefix, self.node)

    def without_cameras(self) -> Names:
        """The names of the node alone."""
        return replace(self, cameras=())

    def covers(self, topic: str, of: Names) -> bool:
        """Whether a topic that belongs to ``of`` is one of ours as well."""
        if topic.startswith(f"{of.topics.base}/"):
            return self.topics.base == of.topics.base
        return self.ha_prefix == of.ha_prefix and node_id(self.topics) == node_id(of.topics)

    def fixed(self) -> Iterator[str]:
        """Topics that are retained whatever was seen."""
        yield from leftovers.of_node(self.topics, self.ha_prefix)
        for camera in self.cameras:
            yield from leftovers.of_camera(self.topics, camera, self.ha_prefix)


class Memory:
    """The names of a daemon in a file, the present ones last. A disk that fails costs only what it holds.

    Args:
        path: the file; a daemon has one of its own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Names]:
        """All names that are not taken back yet."""

        def read(content: Any) -> list[Names]:
            return [Names(**{**one, "cameras": tuple(one["cameras"])}) for one in content]

        return read_kept(self._path, read, [])

    def write(self, names: list[Names]) -> None:
        """Keep these, and only these."""
        keep(self._path, [asdict(one) for one in names])
