"""The access list in deploy/mosquitto lets a node do its work, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rig
from rig import PERSON, TOPICS, Mosquitto, Subscriber, publish
from structlog.testing import capture_logs

from edged.contract.topics import Topics
from edged.metrics import Meter
from edged.mqtt.one_shot import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.mqtt.link.client import BrokerAccess
    from edged.sinks.mqtt import MqttSink

pytest_plugins = ("mqtt_fixtures",)
pytestmark = pytest.mark.usefixtures("needs_mosquitto")

ACL = Path(__file__).parents[3] / "deploy" / "mosquitto" / "edged.acl"
WORD = "word"


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with the access list, and an account for everybody in it."""
    passwords = tmp_path / "passwords"
    passwords.touch()
    for user in ("lab1", "lab2", "viewer", "homeassistant"):
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), user, WORD], check=True)
    lines = (f"acl_file {ACL}", f"password_file {passwords}")
    with Mosquitto(tmp_path / "strict", *lines, anonymous=False) as broker:
        yield broker


def as_user(user: str) -> tuple[str, ...]:
    return ("-V", "5", "-u", user, "-P", WORD)


def _account(broker: Mosquitto) -> BrokerAccess:
    target: BrokerAccess = rig.access(broker.broker)
    return dataclasses.replace(
        target, broker=dataclasses.replace(target.broker, username="lab1", password=WORD)
    )


def node_sink(broker: Mosquitto, boot_id: str, topics: Topics = TOPICS, **options: Any) -> MqttSink:
    sink: MqttSink = rig.sink(
        _account(broker),
        topics,
        meter=Meter(),
        boot_id=boot_id,
        discovery=True,
        snapshot_interval_s=0.01,
        control=Silent(),
        starting=True,
        **options,
    )
    return sink


class Silent:
    """A daemon that does as it is told."""

    def pause(self) -> str:
        return "paused"

    resume = reload = pause

    def switch(self, name: str, value: str) -> str:
        return f"{name} is {value}"


def test_a_node_may_do_all_that_it_does(strict: Mosquitto, boot_id: str) -> None:
    sink = node_sink(strict, boot_id, named=lambda: {"front"}, zones=("porch",), lines=("gate",), tracks=True)
    old = Topics("edged", "lab1", "old")
    for topic in (
        TOPICS.count("dog"),
        TOPICS.zone_count("porch", "dog"),
        TOPICS.line_total("gate", "in", "dog"),
        old.status,
        old.count("dog"),
    ):
        publish(strict.port, topic, b"1", "-r", *as_user("lab1"))
    with capture_logs() as logs:
        sink.open()
        sink.state(rig.state())
        sink.send(rig.result(0, PERSON))
        sink.report(rig.report(cpu_temperature_c=50.0))
        assert rig.until(lambda: sink.delivery().queued + sink.delivery().in_flight == 0)
        with Subscriber(
            strict.port, "edged/#", options=as_user("homeassistant"), probe="edged/probe/cmd"
        ) as subscriber:
            assert rig.until(lambda: subscriber.on(TOPICS.count("dog"))[-1:] == [b"0"])
            publish(strict.port, TOPICS.command("pause"), b"", *as_user("homeassistant"))
            assert json.loads(subscriber.wait_for(TOPICS.result("pause")))["ok"]
            subscriber.wait_for(TOPICS.snapshot)
            subscriber.wait_for(TOPICS.zone_count("porch", "dog"), b"0")
            subscriber.wait_for(TOPICS.line_total("gate", "in", "dog"), b"1")
            assert not subscriber.on(old.status) + subscriber.on(old.count("dog"))
            sink.close()
            subscriber.wait_for(TOPICS.availability, b"offline")
    assert sink.delivery().lost == 0
    assert not [entry for entry in logs if "refused" in entry["event"]]
    assert "Denied" not in strict.log


def test_a_check_costs_a_running_node_a_moment(tmp_path: Path, boot_id: str) -> None:
    """The broker takes the account for the client id, and so the one for the other: for no more than that."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "lab1", WORD], check=True)
    lines = (f"password_file {passwords}", "use_username_as_clientid true")
    with Mosquitto(tmp_path / "strict", *lines, anonymous=False) as broker, capture_logs() as logs:
        sink = node_sink(broker, boot_id)
        sink.open()
        for times in range(1, 4):
            assert rig.until(partial(_connected, logs, times))
            assert "takes us" in probe.check(_account(broker), timeout_s=30.0)
        assert rig.until(partial(_connected, logs, 4))
        assert rig.until(lambda: not sink.problem)
        sink.close()


def _connected(logs: list[Any], times: int) -> bool:
    return len([entry for entry in logs if entry["event"] == "mqtt_connected"]) == times


def test_a_node_may_not_speak_for_another(strict: Mosquitto, boot_id: str) -> None:
    other = Topics("edged", "lab2", "front")
    sink = node_sink(strict, boot_id, other)
    with capture_logs():
        sink.open()
        for number in range(3):
            sink.send(rig.result(number, PERSON))
        assert rig.until(lambda: sink.delivery().dropped.get("refused_not_authorized", 0) >= 3)
        sink.close()
    assert "Denied PUBLISH" in strict.log
    assert sink.delivery().closes


@pytest.mark.parametrize("user", ["lab2", "viewer"])
def test_only_home_assistant_may_give_commands(strict: Mosquitto, boot_id: str, user: str) -> None:
    sink = node_sink(strict, boot_id)
    sink.open()
    assert rig.until(lambda: "cmd/+ (QoS 1)" in strict.log)
    options = ["-t", TOPICS.command("pause"), "-n", *as_user(user)]
    # Whether mosquitto_pub succeeds says nothing; the broker's log does.
    subprocess.run(["mosquitto_pub", "-p", str(strict.port), "-q", "1", *options], check=False, timeout=10,
                   capture_output=True)  # fmt: skip
    assert rig.until(lambda: "Denied PUBLISH" in strict.log)
    sink.close()
    assert sink._node.commands is not None  # noqa: SLF001
    assert sink._node.commands.counts() == {"accepted": 0, "refused": {}}  # noqa: SLF001


def test_an_account_cannot_take_the_place_of_another(tmp_path: Path, boot_id: str) -> None:
    """With the id of a node and a password of one's own: the shipped listener goes by the account."""
    passwords = tmp_path / "passwords"
    passwords.touch()
    for user in ("lab1", "lab2"):
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), user, WORD], check=True)
    shipped = ACL.with_name("edged.conf").read_text().splitlines()
    (by_account,) = [line for line in shipped if line.startswith("use_username_as_clientid")]
    lines = (f"acl_file {ACL}", f"password_file {passwords}")
    with (
        Mosquitto(tmp_path / "strict", *lines, listener=by_account, anonymous=False) as broker,
        capture_logs() as logs,
    ):
        sink = node_sink(broker, boot_id)
        sink.open()
        sink.state(rig.state())
        assert rig.until(lambda: sink.delivery().acknowledged > 0)
        publish(broker.port, "edged/lab2/state", b"{}", "-i", "edged-lab1", *as_user("lab2"))
        sink.send(rig.result(0, PERSON))
        assert rig.until(lambda: sink.delivery().queued + sink.delivery().in_flight == 0)
        sink.close()
    assert "as edged-lab1" not in broker.log
    assert [entry["event"] for entry in logs if "connected" in entry["event"]] == ["mqtt_connected"]
