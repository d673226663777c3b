"""A label that was not seen for long loses its topics and entities, and comes back when it is seen again."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import rig
from announced import CONFIG, config, idle, open_sink, walk
from rig import CAT, PERSON, TOPICS, Subscriber, publish

from edged.mqtt.camera.ages import LabelAges

if TYPE_CHECKING:
    from rig import Mosquitto

pytest_plugins = ("mqtt_fixtures",)

DAY_S = 86400.0


class Clocks:
    """Two clocks that tests turn on."""

    def __init__(self) -> None:
        self.now = time.time()
        self.up = 0.0

    def on(self, days: float) -> None:
        """So many days pass."""
        self.now += days * DAY_S
        self.up += days * DAY_S

    def ages(self, days: float) -> LabelAges:
        """Ages by these clocks."""
        return LabelAges(days, now=lambda: self.now, uptime=lambda: self.up)


def test_a_label_is_too_old_when_it_was_not_seen_for_so_many_days() -> None:
    clocks = Clocks()
    ages = clocks.ages(30)
    ages.see({"person": 2, "tabby cat": 0})
    assert ages.over(["person", "tabby_cat"]) == set()
    clocks.on(29)
    ages.see({"person": 1})
    clocks.on(1.1)
    assert ages.over(["person", "tabby_cat"]) == {"tabby_cat"}
    assert clocks.ages(0).over(["person"]) == set()


def test_who_was_off_for_a_season_gives_its_labels_a_day() -> None:
    clocks = Clocks()
    ages = clocks.ages(30)
    ages.recall("edged/lab1/front/last_seen/person", b"2020-01-01T00:00:00Z")
    ages.recall("edged/lab1/front/last_seen/dog", b"soon")
    assert ages.over(["person", "dog"]) == set()
    clocks.on(1.1)
    assert ages.over(["person", "dog"]) == {"person"}


def test_a_clock_that_begins_in_1970_makes_nothing_old() -> None:
    """What was seen before the clock was set has its days, as has what nobody remembers."""
    clocks = Clocks()
    set_later, clocks.now = clocks.now, 60.0
    ages = clocks.ages(30)
    ages.recall("edged/lab1/front/last_seen/dog", b"1970-01-01T00:00:30Z")
    ages.see({"person": 1})
    assert ages.over(["person", "dog", "cat"]) == set()
    clocks.now = set_later
    clocks.on(29)
    assert ages.over(["person", "dog", "cat"]) == set()
    clocks.on(1.1)
    assert ages.over(["person", "dog", "cat"]) == {"person", "dog", "cat"}


def test_everything_of_a_label_that_is_too_old_goes(mosquitto: Mosquitto, boot_id: str) -> None:
    """The one that EDGED_CLASSES names keeps all that it has."""
    clocks = Clocks()
    zones, lines = ("porch",), ("gate",)
    sink = open_sink(
        mosquitto, boot_id, ages=clocks.ages(30), labels=("person",), tracks=True, zones=zones, lines=lines
    )
    with Subscriber(mosquitto.port) as subscriber:
        sink.state(rig.state())
        for result in walk():
            sink.tell(result.events)
            sink.send(result)
        assert rig.until(lambda: "front_count_tabby_cat" in config(subscriber)["components"])
        assert rig.until(lambda: idle(sink))
        clocks.on(31)
        sink.report(rig.report())
        assert rig.until(lambda: "front_count_tabby_cat" not in config(subscriber)["components"])
        assert rig.until(lambda: idle(sink))
    with Subscriber(mosquitto.port) as late:
        assert "front_zone_porch_count_person" in config(late)["components"]
        assert [one.topic for one in late.received if "tabby" in one.topic] == []
        assert late.on(TOPICS.line_total("gate", "out", "person")) == [b"1"]
        sink.send(rig.result(0, CAT))
        assert rig.until(lambda: "front_count_tabby_cat" in config(late)["components"]), "seen again"
        sink.close()


def test_the_broker_remembers_when_a_label_was_seen(mosquitto: Mosquitto, boot_id: str) -> None:
    first = open_sink(mosquitto, boot_id, tracks=True)
    first.state(rig.state())
    first.send(rig.result(0, PERSON, CAT))
    first.close()
    publish(mosquitto.port, TOPICS.last_seen("tabby_cat"), b"2020-01-01T00:00:00Z", "-r")
    clocks = Clocks()
    second = open_sink(mosquitto, "b" * 32, ages=clocks.ages(30), tracks=True)
    with Subscriber(mosquitto.port) as subscriber:
        second.state(rig.state())
        assert rig.until(lambda: second.delivery().acknowledged > 0 and idle(second))
        assert "front_count_tabby_cat" in json.loads(subscriber.wait_for(CONFIG))["components"]
        clocks.on(1.1)
        second.report(rig.report())
        assert rig.until(lambda: "front_count_tabby_cat" not in config(subscriber)["components"])
        assert "front_count_person" in config(subscriber)["components"]
        second.close()
