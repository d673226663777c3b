"""Where every message goes: ``<prefix>/<node>`` and below."""

from __future__ import annotations

import re
import unicodedata
import zlib
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class NodeTopics:
    """The topics of one node, whatever cameras it has."""

    prefix: str
    node: str

    @property
    def base(self) -> str:
        """What all topics of the node start with."""
        return f"{self.prefix}/{self.node}"

    @property
    def availability(self) -> str:
        """``online`` / ``offline`` of the daemon; the last will goes here."""
        return f"{self.base}/availability"

    @property
    def state(self) -> str:
        """What the daemon is doing."""
        return f"{self.base}/state"

    def command(self, name: str) -> str:
        """Where a command comes in; ``+`` stands for all."""
        return f"{self.base}/cmd/{name}"

    def result(self, name: str) -> str:
        """Where a command is answered."""
        return answer_to(self.command(name))


@dataclass(frozen=True, slots=True)
class Topics(NodeTopics):
    """The topics of one camera of one node, and the node's."""

    camera: str

    @property
    def status(self) -> str:
        """``online`` / ``offline`` of the camera."""
        return f"{self.base}/{self.camera}/status"

    @property
    def camera_state(self) -> str:
        """What the camera is doing, where there may be several."""
        return f"{self.base}/{self.camera}/state"

    @property
    def detections(self) -> str:
        """One message a frame."""
        return f"{self.base}/{self.camera}/detections"

    @property
    def timings(self) -> str:
        """One message a stats interval."""
        return f"{self.base}/{self.camera}/timings"

    @property
    def snapshot(self) -> str:
        """The last annotated picture."""
        return f"{self.base}/{self.camera}/snapshot"

    @property
    def events(self) -> str:
        """Start, updates and end of every object."""
        return f"{self.base}/{self.camera}/events"

    @property
    def occupancy(self) -> str:
        """Whether anything is there."""
        return f"{self.base}/{self.camera}/occupancy"

    def last_seen(self, slug: str) -> str:
        """When an object of one label was last there."""
        return f"{self.base}/{self.camera}/last_seen/{slug}"

    def best(self, slug: str) -> str:
        """The best picture of the last object of one label."""
        return f"{self.base}/{self.camera}/best/{slug}"

    def zone_count(self, zone: str, slug: str) -> str:
        """How many objects of one label are in a zone."""
        return f"{self.base}/{self.camera}/zone/{zone}/count/{slug}"

    def zone_occupancy(self, zone: str) -> str:
        """Whether anybody is in a zone."""
        return f"{self.base}/{self.camera}/zone/{zone}/occupancy"

    def line_total(self, line: str, direction: str, slug: str) -> str:
        """How many objects of one label have crossed a line, ``in`` or ``out``."""
        return f"{self.base}/{self.camera}/line/{line}/{direction}/{slug}"

    def count(self, slug: str) -> str:
        """How many objects of one label are seen; ``+`` stands for all."""
        return f"{self.base}/{self.camera}/count/{slug}"

    def camera_command(self, name: str) -> str:
        """Where a command to this camera comes in; ``+`` stands for all."""
        return f"{self.base}/{self.camera}/cmd/{name}"

    def camera_result(self, name: str) -> str:
        """Where a command to this camera is answered."""
        return answer_to(self.camera_command(name))


def answer_to(command: str) -> str:
    """Where a command that comes in at this topic is answered."""
    return f"{command}/result"


@lru_cache(1024)
def slug(label: str) -> str:
    """A label as one level of a topic and as a part of an id: ``[a-z0-9_-]``, never empty.

    Most labels stay what they are but for blanks. One that would lose more than case and blanks gets a
    checksum, so that two labels never share a topic.
    """
    plain = unicodedata.normalize("NFKC", label).strip().lower()
    kept = re.sub(r"[\s_]+", "_", plain)
    safe = re.sub(r"[^a-z0-9_-]+", "_", kept).strip("_")[:48]
    return safe if safe and safe == kept else f"{safe or 'label'}_{zlib.crc32(label.encode()):08x}"
