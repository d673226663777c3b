"""What a camera can be told from afar, over MQTT or the page: its sinks' Control."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.daemon.switches import on_or_off

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.daemon.assembly import Daemon
    from edged.daemon.switches import Switches


class CameraControl:
    """Obeys for one camera. Thread-safe.

    Args:
        switches: keep what was told.
        daemon: reads settings again, and puts switched ones in force.
        follow: makes the camera follow a pause, or the end of one; called from any thread.
    """

    def __init__(self, switches: Switches, daemon: Daemon, follow: Callable[[], None]) -> None:
        self._switches = switches
        self._daemon = daemon
        self._follow = follow

    def pause(self) -> str:
        """Take no more frames."""
        self._switches.pause(True)
        self._follow()
        return "paused"

    def resume(self) -> str:
        """Take frames again."""
        self._switches.pause(False)
        self._follow()
        return "running"

    def switch(self, name: str, value: str) -> str:
        """Set what can be switched; how that went is told in the state."""
        if name == "detection":
            return self.resume() if on_or_off(value) else self.pause()
        words = self._switches.put(name, value)
        self._daemon.adjust()
        return words

    def reload(self) -> str:
        """Read the settings again; how it went is told in the log and in the state."""
        return self._daemon.reload()
