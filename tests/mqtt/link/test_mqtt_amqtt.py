"""Another broker and another client: amqtt, which speaks MQTT 3.1.1 only."""

from __future__ import annotations

import asyncio
import json

import pytest
import rig
from amqtt.broker import Broker
from amqtt.client import MQTTClient
from rig import TOPICS, Received
from structlog.testing import capture_logs

from edged.metrics import Meter
from edged.mqtt.link import session
from edged.settings.broker import parse_url

pytest_plugins = ("mqtt_fixtures",)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_another_broker_and_another_client_get_a_whole_run(boot_id: str) -> None:
    asyncio.run(_run(boot_id))


async def _run(boot_id: str) -> None:
    port = rig.free_port()
    listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}
    broker = Broker(
        {"listeners": listeners, "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {}}}
    )
    await broker.start()
    client = MQTTClient(client_id="reader", config={"auto_reconnect": False})
    await client.connect(f"mqtt://127.0.0.1:{port}/")
    await client.subscribe([(f"{TOPICS.base}/#", 1)])

    target = rig.access(parse_url(f"mqtt://127.0.0.1:{port}"), version="3.1.1")
    sink = rig.sink(target, TOPICS, meter=Meter(), boot_id=boot_id)
    sink.open()
    sink.state(rig.state())
    for number in range(50):
        sink.send(rig.result(number, rig.PERSON))
    received: list[Received] = []
    while not received or received[-1].payload != b"offline":
        message = await client.deliver_message(timeout_duration=60)
        assert message is not None
        received.append(Received(message.topic, bytes(message.data), message.qos or 0, message.retain))
        if message.topic == TOPICS.detections and json.loads(message.data)["seq"] == 49:
            await asyncio.to_thread(sink.close)
    rig.assert_contract(received)
    found = [json.loads(message.payload) for message in received if message.topic == TOPICS.detections]
    assert [message["seq"] for message in found] == list(range(50))
    account = sink.delivery()
    assert account.closes
    assert account.lost == 0
    await client.disconnect()
    await broker.shutdown()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_broker_without_mqtt_5_is_told_with_the_mend(boot_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CONNECT_TIMEOUT_S", 2.0)  # it answers nothing at all

    async def run() -> str:
        port = rig.free_port()
        listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}
        broker = Broker(
            {"listeners": listeners, "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {}}}
        )
        await broker.start()
        sink = rig.sink(
            rig.access(parse_url(f"mqtt://127.0.0.1:{port}")), TOPICS, meter=Meter(), boot_id=boot_id
        )
        with capture_logs() as logs:
            sink.open()
            await asyncio.to_thread(rig.until, lambda: any("reason" in entry for entry in logs))
            await asyncio.to_thread(sink.close)
        await broker.shutdown()
        return next(str(entry["reason"]) for entry in logs if "reason" in entry)

    assert "EDGED_MQTT_VERSION" in asyncio.run(run())
