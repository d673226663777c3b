"""Which packet of a quiet scene stands out."""

from __future__ import annotations

import math
import random

import pytest

from edged.sources.packets.sizes import Sizes

GROUP = 60


class Scene:
    """Sizes as an encoder makes them; ``level`` multiplies what follows."""

    def __init__(self, *, spread: float, seed: int = 1) -> None:
        self.level = 1.0
        self._spread = spread
        self._chance = random.Random(seed)  # noqa: S311  # no secret
        self._sizes = Sizes()
        self._number = 0

    def alarms(self, count: int) -> list[int]:
        """Which of the next packets stand out."""
        found = []
        for number in range(count):
            place = self._number % GROUP
            self._number += 1
            if place == 0:
                self._sizes.passed(key=True)
                continue
            sharper = 1.6 if place == 1 else 1.2 if place == 2 else 1.0
            size = 400 * self.level * sharper * math.exp(self._chance.gauss(0, self._spread))
            if self._sizes.stands_out(round(size)):
                found.append(number)
        return found

    @property
    def tells(self) -> bool:
        return self._sizes.tell


@pytest.mark.parametrize("seed", range(3))
def test_a_quiet_scene_gives_hardly_an_alarm(seed: int) -> None:
    scene = Scene(spread=0.12, seed=seed)
    scene.alarms(5 * GROUP)
    assert len(scene.alarms(60 * GROUP)) <= 3  # two minutes


@pytest.mark.parametrize(("level", "packets"), [(1.35, 15), (3.0, 3)])
def test_what_moves_stands_out_the_sooner_the_larger_it_is(level: float, packets: int) -> None:
    scene = Scene(spread=0.12)
    scene.alarms(5 * GROUP)
    scene.level = level
    assert scene.alarms(packets)


def test_a_slow_drift_is_learned() -> None:
    scene = Scene(spread=0.12)
    scene.alarms(5 * GROUP)
    alarms = []
    for _ in range(60):
        scene.level *= 1.02
        alarms += scene.alarms(30)
    assert len(alarms) <= 6  # a minute, in which sizes have tripled


def test_a_new_level_at_which_nothing_moves_is_learned_after_a_few_alarms() -> None:
    scene = Scene(spread=0.12)
    scene.alarms(5 * GROUP)
    scene.level = 2.0
    assert len(scene.alarms(2 * GROUP)) <= 12
    assert len(scene.alarms(10 * GROUP)) <= 2


def test_sizes_that_jump_about_tell_nothing() -> None:
    scene = Scene(spread=0.9)
    scene.alarms(5 * GROUP)
    assert not scene.tells
    assert not scene.alarms(5 * GROUP)


def test_a_scene_that_has_just_been_met_tells_nothing() -> None:
    scene = Scene(spread=0.1)
    scene.alarms(20)
    assert not scene.tells
