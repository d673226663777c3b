"""The whole path with nothing but what a fresh checkout has: the demo's clip and model, and a real broker."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

import pytest
import rig
from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from rig import Mosquitto, Received
from whole_run import BASE, check_lines, check_messages, check_video, play, run

from edged.trial import demo_broker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FRAMES = 200
FACES = range(36, 169)
"""Frames of the clip in which there is a face for certain."""
NO_FACES = range(32)


class Subscriber:
    """paho with a thread of its own: it is there wherever edged is."""

    def __init__(self, port: int) -> None:
        self.received: list[Received] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv311)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{BASE}/#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)

    def on(self, topic: str) -> list[bytes]:
        """Payloads of one topic, in order."""
        return [message.payload for message in list(self.received) if message.topic == topic]

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._subscribed.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _: object, __: object, message: MQTTMessage) -> None:
        self.received.append(Received(message.topic, bytes(message.payload), message.qos, message.retain))


@contextmanager
def amqtt() -> Iterator[int]:
    """A broker inside Python, in a thread of its own; its port."""
    port = rig.free_port()
    listening, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with demo_broker.serve("127.0.0.1", port):
            listening.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="amqtt")
    thread.start()
    try:
        assert listening.wait(20)
        yield port
    finally:
        over.set()
        thread.join(20)


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    with Mosquitto(folder) as broker:
        yield broker.port


@pytest.fixture(params=["mosquitto", "amqtt"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """A real broker's."""
    if request.param == "mosquitto":
        if rig.MOSQUITTO is None:
            pytest.skip("mosquitto is not installed (apt install mosquitto); amqtt stands in for it")
        with mosquitto(tmp_path / "mosquitto") as number:
            yield number
    else:
        if find_spec("amqtt") is None:
            pytest.skip("the package amqtt with the demo's broker is not installed")
        with amqtt() as number:
            yield number


@pytest.mark.filterwarnings("ignore::DeprecationWarning:amqtt")
def test_every_frame_of_the_demo_reaches_video_lines_and_subscriber(
    demo_model: Path, demo_clip: Path, tmp_path: Path, port: int
) -> None:
    film = play(demo_clip)
    assert len(film.times) == FRAMES
    settings = {
        "EDGED_MODEL": str(demo_model),
        "EDGED_MQTT_VERSION": "3.1.1",
        "EDGED_STATS_INTERVAL": "1",
        "EDGED_WORKERS": "2",
    }
    with Subscriber(port) as subscriber:
        ledger = run(tmp_path, demo_clip, settings, port, limit_s=120)
        assert (ledger["captured"], ledger["inferred"], ledger["dropped"]) == (FRAMES, FRAMES, {})
        messages = check_messages(subscriber, FRAMES, demo_model.stem)
    assert rig.assert_contract(subscriber.received) == len(subscriber.received)
    check_video(tmp_path / "out.mp4", film)
    check_lines(tmp_path, messages)
    found = [len(message["detections"]) for message in messages]
    assert all(found[number] for number in FACES)
    assert not any(found[number] for number in NO_FACES)
    assert max(found) == 2


def test_a_photo_is_one_frame_of_everything(
    demo_model: Path, demo_clip: Path, tmp_path: Path, port: int
) -> None:
    import av
    import cv2

    with av.open(str(demo_clip)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    photo = tmp_path / "photo.png"
    assert cv2.imwrite(str(photo), pictures[100])
    settings = {"EDGED_MODEL": str(demo_model), "EDGED_MQTT_VERSION": "3.1.1"}
    with Subscriber(port) as subscriber:
        ledger = run(tmp_path, photo, settings, port, limit_s=60)
        assert (ledger["captured"], ledger["inferred"]) == (1, 1)
        (message,) = check_messages(subscriber, 1, demo_model.stem)
    assert not subscriber.on(f"{BASE}/front/count/face"), "one picture confirms no object"
    assert len(message["detections"]) >= 1
    assert len(play(tmp_path / "out.mp4").times) == 1
    assert Counter(received.topic for received in subscriber.received)[f"{BASE}/front/detections"] == 1
