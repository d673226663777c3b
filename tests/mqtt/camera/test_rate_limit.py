"""What many objects do is told at a pace that a recorder can bear; what matters is told at once."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import rig
from rig import TOPICS, Mosquitto, Subscriber
from test_mqtt_events import open_sink, play

from edged.mqtt.camera.rate_limit import RateLimitedValues
from edged.mqtt.delivery.message import Numbers
from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.token_bucket import TokenBucket

if TYPE_CHECKING:
    import pytest

pytest_plugins = ("mqtt_fixtures",)


class Street:
    """Values on a clock that is turned by hand, with what was told of them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[tuple[float, str, bytes]] = []
        self._outbox = Outbox(limit=10, wake=lambda: None, orders=Numbers(1))
        self._outbox.attach()
        self.values = RateLimitedValues(self._outbox, clock=lambda: self.now)
        self.values.limited = True

    def put(self, topic: str, payload: bytes) -> None:
        self.values.put(topic, payload)
        self.hear()

    def hear(self) -> None:
        while (message := self._outbox.take()) is not None:
            self._outbox.settle(message)
            self.told.append((self.now, message.topic, message.payload))


def test_a_crowd_is_told_once_in_a_while_and_rightly_in_the_end() -> None:
    street, dice = Street(), random.Random(4)  # noqa: S311  # no secret
    newest = {}
    for number in range(6000):
        street.now = number / 10
        for topic in ("person", "zone/person", "line"):
            newest[topic] = b"%d" % dice.randint(3, 6)
            street.put(topic, newest[topic])
    assert len(street.told) <= 600 * 0.2 + 6 + 3
    assert len(street.told) > 100
    seconds = {topic: [at for at, of, _ in street.told if of == topic] for topic in newest}
    for times in seconds.values():
        assert max(later - at for at, later in itertools.pairwise(times)) < 120, "no topic is forgotten"
    street.now += 60
    street.values.flush()
    street.hear()
    assert {topic: payload for _, topic, payload in street.told} == newest


def test_that_somebody_comes_or_goes_waits_for_nothing() -> None:
    street = Street()
    for number in range(200):
        street.now = number / 10
        street.put("person", b"%d" % (2 + number % 2))
    for payload in (b"0", b"1", b"0"):
        street.put("person", payload)
        assert street.told[-1] == (street.now, "person", payload)
    street.put("occupancy", b"ON")
    street.put("occupancy", b"OFF")
    assert [payload for _, topic, payload in street.told if topic == "occupancy"] == [b"ON", b"OFF"]


def test_what_flickers_is_there_and_is_gone_in_the_end() -> None:
    """Ten labels come and go every other second for ten minutes, as a weak model has them."""
    street = Street()
    topics = [f"{kind}/{number}" for kind in ("count", "occupancy") for number in range(10)]
    words = {"count": (b"0", b"1"), "occupancy": (b"OFF", b"ON")}
    for second in range(600):
        street.now = float(second)
        for topic in topics:
            street.put(topic, words[topic.split("/")[0]][second % 2])
    assert len(street.told) <= 600 * 0.15 + 12 + 3 + 2 * len(topics)
    wrong = {topic: payload for _, topic, payload in street.told}
    assert all(payload in {b"1", b"ON"} for payload in list(wrong.values())[-3:])
    for topic in topics:
        street.put(topic, words[topic.split("/")[0]][0])
    for _ in range(10 * round((len(topics) + 4) / 0.15)):
        street.now += 0.1
        street.values.flush()
        street.hear()
    last = {topic: payload for _, topic, payload in street.told}
    assert all(payload in {b"0", b"OFF"} for payload in last.values())


def test_without_objects_over_time_every_change_is_told() -> None:
    street = Street()
    street.values.limited = False
    for number in range(50):
        street.put("person", b"%d" % number)
    assert [int(payload) for _, _, payload in street.told] == list(range(50))


def test_what_waits_is_told_at_the_end_and_a_value_that_came_back_is_not() -> None:
    street = Street()
    for number in range(20):
        street.put("person", b"%d" % (number + 1))
    told = len(street.told)
    street.put("person", street.told[-1][2])
    street.values.flush(everything=True)
    street.hear()
    assert len(street.told) == told
    street.put("person", b"99")
    street.values.flush(everything=True)
    street.hear()
    assert street.told[-1][2] == b"99"


def test_a_budget_saves_for_a_burst_and_no_more() -> None:
    street = Street()
    budget = TokenBucket(0.5, 3, clock=lambda: street.now)
    assert [budget.spend() for _ in range(5)] == [True, True, True, False, False]
    street.now = 2.0
    assert [budget.spend() for _ in range(2)] == [True, False]
    assert budget.spend(anyway=True)
    assert not budget.spend()
    street.now = 1000.0
    assert sum(budget.spend() for _ in range(10)) == 3


def test_of_events_in_a_crowd_a_recorder_need_not_take_all(
    mosquitto: Mosquitto, boot_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are published; those that come too fast say so, and pictures wait for their turn."""
    monkeypatch.setattr("edged.mqtt.camera.events.TokenBucket", lambda *_: TokenBucket(1e-9, 1))
    with Subscriber(mosquitto.port) as subscriber:
        sink = open_sink(mosquitto, boot_id, zones=("porch",), lines=("gate",), tracks=True)
        told = play(sink)
        sink.close()
        events = rig.contents(subscriber, TOPICS.events)
    assert [f"{event['type']} {event['event_id']}" for event in events] == told
    calm = [event.get("calm", True) for event in events if event["type"] == "start" or event["changes"]]
    assert calm[0]
    assert not all(calm)
    assert len(subscriber.on(TOPICS.best("person"))) == 1


def test_anything_and_last_seen_are_told(
    mosquitto: Mosquitto, boot_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.mqtt.camera.events._SEEN_S", 5.0)
    with Subscriber(mosquitto.port) as subscriber:
        sink = open_sink(mosquitto, boot_id, tracks=True)
        play(sink)
        assert rig.until(lambda: subscriber.on(TOPICS.occupancy)[1:] == [b"ON", b"OFF"])
        sink.close()
        subscriber.catch_up()
    assert subscriber.on(TOPICS.occupancy) == [b"OFF", b"ON", b"OFF"], "nothing is seen at the start"
    seen = subscriber.on(TOPICS.last_seen("person"))
    # It came with the first frames and was there for nine seconds.
    assert seen[0] == b"2001-09-09T01:46:40Z"
    assert seen[1] == b"2001-09-09T01:46:45Z"
    assert seen[-1] in {b"2001-09-09T01:46:49Z", b"2001-09-09T01:46:50Z"}
