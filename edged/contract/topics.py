"""Where every message goes: ``<prefix>/<node>`` and below."""

from __future__ import annotations

import re
import unicodedata
import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one camera of one node."""

    prefix: str
    node: str
    camera: str

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

    @property
    def status(self) -> str:
        """``online`` / ``offline`` of the camera."""
        return f"{self.base}/{self.camera}/status"

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

    def count(self, slug: str) -> str:
        """How many objects of one label are seen; ``+`` stands for all."""
        return f"{self.base}/{self.camera}/count/{slug}"

    def command(self, name: str) -> str:
        """Where a command comes in; ``+`` stands for all."""
        return f"{self.base}/cmd/{name}"

    def result(self, name: str) -> str:
        """Where a command is answered."""
        return f"{self.base}/cmd/{name}/result"


def slug(label: str) -> str:
    """A label as one level of a topic and as a part of an id: ``[a-z0-9_-]``, never empty.

    Most labels stay what they are but for blanks. One that would lose more than case and blanks gets a
    checksum, so that two labels never share a topic.
    """
    plain = unicodedata.normalize("NFKC", label).strip().lower()
    kept = re.sub(r"[\s_]+", "_", plain)
    safe = re.sub(r"[^a-z0-9_-]+", "_", kept).strip("_")[:48]
    return safe if safe and safe == kept else f"{safe or 'label'}_{zlib.crc32(label.encode()):08x}"
