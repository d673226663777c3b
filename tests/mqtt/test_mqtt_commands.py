"""Commands: the allowed ones are obeyed and answered, everything else is refused and counted."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import rig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import TOPICS, Mosquitto, Received, Subscriber, publish
from structlog.testing import capture_logs

from edged.errors import ConfigError
from edged.metrics import Meter
from edged.mqtt.commands import Commands
from edged.mqtt.delivery.message import Numbers
from edged.mqtt.delivery.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edged.sinks.mqtt import MqttSink

pytest_plugins = ("mqtt_fixtures",)


class Daemon:
    """The daemon as commands see it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def pause(self) -> str:
        self.done.append("pause")
        return "paused"

    def resume(self) -> str:
        self.done.append("resume")
        return "running"

    def switch(self, name: str, value: str) -> str:
        self.done.append(f"{name}={value}")
        if name == "threshold":
            raise ConfigError("there is no such threshold")
        return f"{name} is being set to {value}"

    def reload(self) -> str:
        self.done.append("reload")
        raise ConfigError("EDGED_MODEL is not set", hint="Set it")


class Desk:
    """Commands without a broker, with what they answer."""

    def __init__(self, per_second: float = 1e9, clock: Callable[[], float] = time.monotonic) -> None:
        self.daemon = Daemon()
        self.outbox = Outbox(limit=10, wake=lambda: None, orders=Numbers(1))
        self.outbox.attach()
        names = ("pause", "resume", "reload")
        self.commands = Commands(
            TOPICS.command, self.outbox, self._act, names=names, per_second=per_second, clock=clock
        )

    def _act(self, name: str, value: str) -> str:
        act = getattr(self.daemon, name, None)
        return str(act()) if act is not None else self.daemon.switch(name, value)

    def ask(self, topic: str, payload: bytes = b"", *, retained: bool = False) -> dict[str, Any] | None:
        """The answer, if there is one."""
        self.commands.handle(topic, payload, retained)
        message = self.outbox.take()
        if message is None:
            return None
        self.outbox.settle(message)
        rig.assert_contract([Received(message.topic, message.payload, message.qos, message.retain)])
        assert message.topic == f"{topic}/result"
        assert not message.retain
        answer: dict[str, Any] = json.loads(message.payload)
        return answer


def test_a_command_is_obeyed_and_answered() -> None:
    desk = Desk()
    answer = desk.ask(TOPICS.command("pause"), b'{"id": "42"}')
    assert answer is not None
    assert (answer["ok"], answer["message"], answer["id"]) == (True, "paused", "42")
    assert desk.daemon.done == ["pause"]
    assert desk.commands.counts() == {"accepted": 1, "refused": {}}


def test_a_command_that_fails_says_why() -> None:
    desk = Desk()
    answer = desk.ask(TOPICS.command("reload"))
    assert answer is not None
    assert (answer["ok"], answer["message"]) == (False, "EDGED_MODEL is not set. Set it.")
    assert desk.commands.counts() == {"accepted": 0, "refused": {"failed": 1}}


@pytest.mark.parametrize(
    ("name", "payload", "cause"),
    [
        ("shutdown", b"", "unknown"),
        ("pause", b"x" * 2000, "too_large"),
        ("pause", b"now", "malformed"),
        ("pause", b"[]", "malformed"),
        ("pause", b"\xff", "malformed"),
        ("pause", b"[" * 1000, "malformed"),
        ("pause", b'{"id": 1}', "malformed"),
        ("pause", b'{"id": "' + b"x" * 100 + b'"}', "malformed"),
        ("pause", b'{"command": "reload"}', "malformed"),
    ],
)
def test_a_wrong_command_is_refused_counted_and_answered(name: str, payload: bytes, cause: str) -> None:
    desk = Desk()
    answer = desk.ask(TOPICS.command(name), payload)
    assert answer is not None
    assert not answer["ok"]
    assert desk.daemon.done == []
    assert desk.commands.counts() == {"accepted": 0, "refused": {cause: 1}}


def test_a_switch_takes_a_bare_value_or_one_in_json() -> None:
    desk = Desk()
    for payload, done in (
        (b"ON", "ON"),
        (b'{"value": "OFF", "id": "1"}', "OFF"),
        (b'{"value": true}', "ON"),
        (b" 0.5 ", "0.5"),
        (b'{"value": 0.5}', "0.5"),
    ):
        answer = desk.ask(TOPICS.command("recording"), payload)
        assert answer is not None
        assert answer["ok"]
        assert desk.daemon.done[-1] == f"recording={done}"
    for payload in (b"", b"{}", b'{"value": null}', b'{"value": [1]}', b'{"valve": 1}'):
        answer = desk.ask(TOPICS.command("recording"), payload)
        assert answer is not None
        assert not answer["ok"]
    refused = desk.ask(TOPICS.command("threshold"), b"7")
    assert refused is not None
    assert refused["message"] == "there is no such threshold."
    assert desk.commands.counts() == {"accepted": 5, "refused": {"malformed": 5, "failed": 1}}


def test_a_retained_command_is_counted_and_nothing_else() -> None:
    desk = Desk()
    assert desk.ask(TOPICS.command("pause"), retained=True) is None
    assert desk.daemon.done == []
    assert desk.commands.counts()["refused"] == {"retained": 1}


def test_a_flood_is_counted_and_not_answered() -> None:
    desk = Desk(per_second=0.0)
    answers = [desk.ask(TOPICS.command("pause")) for _ in range(50)]
    assert sum(answer is not None for answer in answers) == len(desk.daemon.done) == 10
    assert desk.commands.counts() == {"accepted": 10, "refused": {"too_many": 40}}


def test_after_a_flood_two_a_second_are_obeyed() -> None:
    now = 1000.0
    desk = Desk(per_second=2.0, clock=lambda: now)

    def obeyed(tries: int) -> int:
        return sum(desk.ask(TOPICS.command("pause")) is not None for _ in range(tries))

    assert obeyed(20) == 10
    now += 0.4
    assert obeyed(5) == 0
    now += 0.2
    assert obeyed(5) == 1
    now += 2.0
    assert obeyed(20) == 4
    now += 1e6
    assert obeyed(20) == 10, "what was not used does not add up"


NAMES = st.one_of(
    st.sampled_from(["pause", "resume", "reload", "PAUSE", "pause ", "", "$SYS", "../pause", "pause\x00"]),
    st.text(st.characters(exclude_characters="/+#", codec="utf-8"), max_size=40),
)
PAYLOADS = st.one_of(
    st.binary(max_size=2000),
    st.text(max_size=200).map(str.encode),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=80),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "x"]), inner),
        max_leaves=10,
    ).map(lambda content: json.dumps(content).encode()),
)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=NAMES, payload=PAYLOADS, retained=st.booleans())
def test_any_command_is_obeyed_or_refused(name: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001
    desk = Desk()
    with capture_logs():
        answer = desk.ask(f"{TOPICS.base}/cmd/{name}", payload, retained=retained)
    counts = desk.commands.counts()
    assert counts["accepted"] + sum(counts["refused"].values()) == 1
    assert len(desk.daemon.done) <= 1
    if desk.daemon.done:
        assert not retained
        assert name in {"pause", "resume", "reload"}
    if counts["accepted"]:
        assert answer is not None
        assert answer["ok"]


# Through a broker.


@pytest.fixture(params=["5", "3.1.1"])
def sink(request: pytest.FixtureRequest, mosquitto: Mosquitto, boot_id: str) -> Iterator[MqttSink]:
    target = rig.access(mosquitto.broker, version=request.param)
    daemon = rig.sink(target, TOPICS, meter=Meter(), boot_id=boot_id, control=Daemon())
    daemon.open()
    yield daemon
    daemon.close()
    assert daemon.delivery().closes


def answers(subscriber: Subscriber, name: str) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in subscriber.on(TOPICS.result(name))]


def refusals(sink: MqttSink) -> dict[str, int]:
    assert sink._node.commands is not None  # noqa: SLF001
    return dict(sink._node.commands.counts()["refused"])  # noqa: SLF001


def test_commands_come_through_a_broker(mosquitto: Mosquitto, sink: MqttSink) -> None:
    assert rig.until(lambda: "cmd/+ (QoS 1)" in mosquitto.log)
    with Subscriber(mosquitto.port, f"{TOPICS.base}/#") as subscriber:
        publish(mosquitto.port, TOPICS.command("pause"), b'{"id": "a"}')
        subscriber.wait_for(TOPICS.result("pause"))
        publish(mosquitto.port, TOPICS.command("nonsense"))
        subscriber.wait_for(TOPICS.result("nonsense"))
        publish(mosquitto.port, TOPICS.command("snapshot"))
        subscriber.wait_for(TOPICS.result("snapshot"))
        sink.send(rig.result(0))
        subscriber.wait_for(TOPICS.snapshot)
        sink.state(rig.state())
        state = json.loads(subscriber.wait_for(TOPICS.state))
    assert answers(subscriber, "pause")[0]["id"] == "a"
    assert "snapshot, pause, resume, reload" in answers(subscriber, "nonsense")[0]["message"]
    assert state["commands"] == {"accepted": 2, "refused": {"unknown": 1}}


def test_a_retained_command_is_not_obeyed_at_the_next_start(mosquitto: Mosquitto, boot_id: str) -> None:
    publish(mosquitto.port, TOPICS.command("pause"), b"{}", "-r")
    daemon = Daemon()
    sink = rig.sink(rig.access(mosquitto.broker), TOPICS, meter=Meter(), boot_id=boot_id, control=daemon)
    sink.open()
    assert rig.until(lambda: refusals(sink) == {"retained": 1})
    publish(mosquitto.port, TOPICS.command("pause"), b"{}", "-r", "-V", "5")
    assert rig.until(lambda: refusals(sink) == {"retained": 2}), "fresh, but published as retained"
    assert daemon.done == []
    sink.close()


def test_hostile_messages_through_a_broker(mosquitto: Mosquitto, sink: MqttSink) -> None:
    assert rig.until(lambda: "cmd/+ (QoS 1)" in mosquitto.log)
    hostile = [b"\x00" * 500, b"[" * 1000, b"{" * 20, b"\xc3\x28", b'{"id": NaN}', b"x" * 100_000]
    for payload in hostile:
        publish(mosquitto.port, TOPICS.command("reload"), payload)
    assert rig.until(lambda: sum(refusals(sink).values()) == len(hostile))
    with Subscriber(mosquitto.port, TOPICS.command("resume") + "/result") as subscriber:
        publish(mosquitto.port, TOPICS.command("resume"))
        assert json.loads(subscriber.wait_for(TOPICS.result("resume")))["ok"]


def test_a_giant_command_does_not_get_in(mosquitto: Mosquitto, boot_id: str) -> None:
    """MQTT 5: we tell the broker how much we take, so it keeps the rest from us."""
    sink = rig.sink(rig.access(mosquitto.broker), TOPICS, meter=Meter(), boot_id=boot_id, control=Daemon())
    sink.open()
    assert rig.until(lambda: "cmd/+ (QoS 1)" in mosquitto.log)
    publish(mosquitto.port, TOPICS.command("pause"), b"x" * 5_000_000)
    publish(mosquitto.port, TOPICS.command("nonsense"))
    assert rig.until(lambda: "unknown" in refusals(sink))
    assert refusals(sink) == {"unknown": 1}
    sink.close()


def test_without_commands_nothing_is_subscribed(mosquitto: Mosquitto, boot_id: str) -> None:
    sink = rig.sink(rig.access(mosquitto.broker), TOPICS, meter=Meter(), boot_id=boot_id)
    sink.open()
    assert rig.until(lambda: "Received SUBSCRIBE" in mosquitto.log)
    sink.close()
    assert "cmd" not in mosquitto.log
