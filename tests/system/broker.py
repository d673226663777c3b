"""mosquitto on a machine, set up with the files in deploy/mosquitto as their comments say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from system.machine import Machine

_CA = "/etc/mosquitto/certs/edged-ca.crt"
_PASSWORDS = {"lab1": "Zebra-17", "lab2": "Yak-18", "viewer": "Fox-19"}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as mosquitto_sub tells it."""

    topic: str
    payload: str

    def json(self) -> dict[str, Any]:
        """The payload of those topics that carry JSON."""
        content: dict[str, Any] = json.loads(self.payload)
        return content


class Broker:
    """The broker of a machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def install(self) -> None:
        """Do what deploy/mosquitto/edged.conf tells people to do."""
        run = self._machine.run
        run("/src/deploy/mosquitto/certificates.sh", "localhost", "127.0.0.1")
        run("install", "-m", "0644", "/src/deploy/mosquitto/edged.conf", "/etc/mosquitto/conf.d/")
        for source, target in (
            ("/src/deploy/mosquitto/edged.acl", "/etc/mosquitto/"),
            ("/dev/null", "/etc/mosquitto/edged.passwd"),
        ):
            run("install", "-m", "0640", "-o", "mosquitto", "-g", "mosquitto", source, target)
        for user, password in _PASSWORDS.items():
            run("mosquitto_passwd", "-b", "/etc/mosquitto/edged.passwd", user, password)
        run("systemctl", "restart", "mosquitto")

    @staticmethod
    def password(user: str) -> str:
        """The password of a user."""
        return _PASSWORDS[user]

    def options(self, user: str) -> list[str]:
        """What mosquitto_sub and mosquitto_pub need to log in."""
        return ["-h", "127.0.0.1", "-p", "8883", "--cafile", _CA, "-u", user, "-P", _PASSWORDS[user]]

    def listen(
        self, topic: str, *, count: int = 1, timeout: int = 10, user: str = "viewer", retained: bool = True
    ) -> list[Arrival]:
        """The next messages: ``count`` of them, or fewer that came within ``timeout`` seconds."""
        command = ["mosquitto_sub", *self.options(user), "-t", topic, "-C", str(count), "-W", str(timeout)]
        command += ["-F", "%t %p"] + ([] if retained else ["-R"])
        said = self._machine.call(*command, timeout=timeout + 10)
        return [Arrival(*line.split(" ", 1)) for line in said.stdout.splitlines()]

    def state(self) -> dict[str, Any]:
        """What the daemon says it is doing: the retained message."""
        return self.listen("edged/lab1/state")[0].json()

    def detections(self, *, count: int = 5, camera: str = "camera") -> list[dict[str, Any]]:
        """The next frames in which something was found."""
        frames: list[dict[str, Any]] = []
        topic = f"edged/+/{camera}/detections"
        for _ in range(20):
            frames += [
                frame
                for arrival in self.listen(topic, count=25, retained=False)
                if (frame := arrival.json())["detections"]
            ]
            if len(frames) >= count:
                return frames[:count]
        raise AssertionError(f"{len(frames)} frames with detections of {camera} were published, not {count}")
