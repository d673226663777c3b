"""One line of JSON a frame: the detections payload of the MQTT contract."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edged.contract import payloads
from edged.sinks.lines import LineFile

if TYPE_CHECKING:
    from edged.records import Result
    from edged.settings.declared import Settings
    from edged.sinks import Context


class JsonlSink:
    """Results as lines; ``boot_id`` tells the runs in a file apart.

    Args:
        target: path, or ``-`` for standard output.
        boot_id: identity of this run, for the payload.
        camera: its name, for the payload.
        forgiving: as for :meth:`LineFile.open`.
    """

    name = "jsonl"

    def __init__(self, target: str, *, boot_id: str, camera: str = "camera", forgiving: bool = False) -> None:
        self._file = LineFile(target, "EDGED_JSONL")
        self._boot_id = boot_id
        self._camera = camera
        self._forgiving = forgiving
        self._count = 0

    @classmethod
    def create(cls, settings: Settings, context: Context) -> JsonlSink:
        """As ``EDGED_JSONL`` says."""
        assert settings.jsonl is not None  # noqa: S101  # the registry asks for this sink only if it is set
        return cls(
            settings.jsonl, boot_id=context.boot_id, camera=settings.camera, forgiving=context.starting
        )

    def open(self) -> None:
        """Open the file, or create it."""
        self._file.open(forgiving=self._forgiving)

    def send(self, result: Result) -> None:
        """Write one line."""
        payload = payloads.detections(
            result, camera=self._camera, boot_id=self._boot_id, seq=self._count, now=time.time()
        )
        self._file.write(payloads.encode(payload))
        self._count += 1

    def close(self) -> None:
        """Close what is ours to close; a file that was made for nothing goes."""
        self._file.close()
