"""paho's client, made safe against what a broker sends.

paho takes in whatever length a packet claims, closes the connection for reason codes that it does not expect
in a packet, and keeps to itself what it found malformed. Here inbound memory is bounded, a refusal of one
message stays one, and the reason for an end can be told. What is overridden is tested with real bytes.
"""

from __future__ import annotations

from typing import Any

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

PACKET_LIMIT = 256 * 1024
"""What is taken in of one packet, bytes; nothing that edged asks for is nearly as long."""
_CHUNK = 64 * 1024
_TYPE = 0xF0
_UNSPECIFIED = 0x80
_PUBLISH, _PUBACK = 0x30, 0x40
_REASONS = ReasonCode(PacketTypes.PUBACK).names
"""For each code its names, and for each name the packets in which the code may come."""

log = structlog.get_logger()


class BoundedClient(paho.Client):
    """A client that survives its broker."""

    said = ""
    """What paho found wrong with the last packet; empty if nothing."""
    first_byte: int | None = None
    """What the broker's first answer began with."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._refusals: dict[int, str] = {}

    def refusal(self, mid: int, reason: ReasonCode) -> str:
        """The name of the reason for which message ``mid`` was refused."""
        return self._refusals.pop(mid, "") or reason.getName()

    def _sock_recv(self, bufsize: int) -> bytes:
        packet = self._in_packet
        if packet["remaining_length"] > PACKET_LIMIT:
            del packet["packet"][_CHUNK:]  # the rest is read and forgotten; its beginning says what it was
            bufsize = min(bufsize, _CHUNK)
        received = super()._sock_recv(bufsize)
        if self.first_byte is None and received:
            self.first_byte = received[0]
        return received

    def _packet_handle(self) -> MQTTErrorCode:
        packet = self._in_packet
        if packet["remaining_length"] > PACKET_LIMIT:
            return self._ignore(
                packet["command"], bytes(packet["packet"][:_CHUNK]), packet["remaining_length"]
            )
        content = packet["packet"]
        if packet["command"] & _TYPE == _PUBACK and len(content) > 2:  # noqa: PLR2004  # number, then the reason
            self._translate(content)
        return super()._packet_handle()

    def _translate(self, content: bytearray) -> None:
        """Give paho a reason that it takes in a PUBACK, and keep the broker's own."""
        code = content[2]
        names = _REASONS.get(code, {})
        if code < _UNSPECIFIED or any(PacketTypes.PUBACK in packets for packets in names.values()):
            return
        self._refusals[int.from_bytes(content[:2], "big")] = next(iter(names), f"reason 0x{code:02x}")
        content[2] = _UNSPECIFIED

    def _ignore(self, command: int, begins: bytes, length: int) -> MQTTErrorCode:
        """Acknowledge a message that is too long to be one of ours, or the broker would wait for it."""
        topic_end = 2 + int.from_bytes(begins[:2], "big")
        topic = begins[2:topic_end].decode(errors="replace") if command & _TYPE == _PUBLISH else ""
        log.warning("mqtt_inbound_too_large", topic=topic[:200], bytes=length, limit=PACKET_LIMIT)
        if command & _TYPE == _PUBLISH and command & 0b110:
            return self._send_puback(int.from_bytes(begins[topic_end : topic_end + 2], "big"))
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _easy_log(self, level: Any, fmt: str, *args: Any) -> None:
        del level
        if fmt.startswith(("Received malformed", "failed to")):
            self.said = fmt % args
