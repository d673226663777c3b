"""Commands that come over MQTT: few, small, counted, answered."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from edged.contract import payloads
from edged.contract.topics import answer_to
from edged.errors import EdgedError
from edged.mqtt.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edged.mqtt.delivery.outbox import Outbox

log = structlog.get_logger()

CAMERA_COMMANDS = ("snapshot", "pause", "resume")
"""What one camera obeys as well as all of them together."""
SWITCHES = ("detection", "recording", "threshold", "model")
"""What is set to a value, likewise."""

_SIZE = 1024
"""Bytes a command may have."""
_ID_SIZE = 64
"""Characters the id may have."""
_BURST = 10
_PER_SECOND = 2.0
_NAME = re.compile(r"[a-z_]{1,32}")


class CommandRefusedError(Exception):
    """A command is not obeyed; carries the cause that is counted, and what is answered, if anything."""

    def __init__(self, cause: str, why: str = "") -> None:
        self.cause = cause
        super().__init__(why)


class Commands:
    """Obeys what is allowed and answers it. Called from one thread.

    Args:
        topic: where they come in, by name; each is answered below.
        outbox: takes the answers.
        act: does what is asked for, by its name, with the value where it is a switch; says what was done, or
            raises EdgedError.
        names: what may be asked for beside the switches.
        per_second: how many are obeyed in the long run; a few more may come at once.
    """

    def __init__(
        self,
        topic: Callable[[str], str],
        outbox: Outbox,
        act: Callable[[str, str], str],
        *,
        names: Sequence[str] = CAMERA_COMMANDS,
        per_second: float = _PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._outbox = outbox
        self._act = act
        self._names = names
        self._numbers = itertools.count()
        self._accepted = 0
        self._refused: Counter[str] = Counter()
        self._budget = TokenBucket(per_second, _BURST, clock=clock)

    def counts(self) -> payloads.CommandCounts:
        """Commands since the start."""
        return {"accepted": self._accepted, "refused": dict(self._refused)}

    def handle(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # a handler
        """Obey or refuse one command.

        The payload is empty, or a JSON object with at most an ``id`` that the answer repeats; that of a
        switch has a ``value`` besides, or is nothing but the value. Not answered
        are retained commands (they would be obeyed again at every start), a flood, and names that cannot be
        commands; they are counted like all others.
        """
        name = topic.removeprefix(self._topic(""))
        identity: str | None = None
        try:
            self._admit(name, retained=retained)
            identity, value = _read(payload, name if name in SWITCHES else "")
            ok, words = True, self._obey(name, value)
            self._accepted += 1
        except CommandRefusedError as refusal:
            self._refused[refusal.cause] += 1
            log.warning("command_refused", command=name[:64], cause=refusal.cause)
            ok, words = False, str(refusal)
        if words:
            self._answer(name, words, ok=ok, identity=identity)

    def _obey(self, name: str, value: str) -> str:
        known = (*self._names, *SWITCHES)
        if name not in known:
            raise CommandRefusedError("unknown", f"there is no such command; there are {', '.join(known)}")
        try:
            words = self._act(name, value)
        except EdgedError as error:
            raise CommandRefusedError("failed", str(error)) from error
        log.info("command_obeyed", command=name, done=words)
        return words

    def _answer(self, name: str, words: str, *, ok: bool, identity: str | None) -> None:
        result: payloads.CommandResult = {
            "schema": payloads.SCHEMA,
            "ts": round(time.time(), 3),
            "command": name,
            "ok": ok,
            "message": words,
            "id": identity,
        }
        topic = answer_to(self._topic(name))
        # A key of its own: one answer must not replace another that still waits.
        key = f"{topic}#{next(self._numbers)}"
        self._outbox.post(topic, payloads.encode(result), retain=False, key=key)

    def _admit(self, name: str, *, retained: bool) -> None:
        """Refuse without an answer what does not deserve one."""
        if retained:
            raise CommandRefusedError("retained")
        if not self._budget.spend():
            raise CommandRefusedError("too_many")
        if not _NAME.fullmatch(name):
            raise CommandRefusedError("unknown")


def _read(payload: bytes, switch: str) -> tuple[str | None, str]:
    """The id and the value that a command carries; the value is empty where it is for no ``switch``."""
    if len(payload) > _SIZE:
        raise CommandRefusedError("too_large", f"a command has at most {_SIZE} bytes")
    try:
        content = json.loads(payload) if payload.strip() else {}
    except (ValueError, RecursionError):
        content = None
    if switch and not isinstance(content, dict):
        content = {"value": payload.decode(errors="replace").strip()}
    fields = {"id", "value"} if switch else {"id"}
    if not isinstance(content, dict) or not content.keys() <= fields:
        raise CommandRefusedError("malformed", 'the payload must be empty or a JSON object like {"id": "1"}')
    identity, value = content.get("id"), content.get("value")
    if identity is not None and not (isinstance(identity, str) and len(identity) <= _ID_SIZE):
        raise CommandRefusedError("malformed", f"the id must be a string of at most {_ID_SIZE} characters")
    if switch and not isinstance(value, str | int | float):
        raise CommandRefusedError("malformed", f'{switch} needs a value, as {{"value": "ON"}} or ON')
    return identity, {True: "ON", False: "OFF"}[value] if isinstance(value, bool) else str(value)
