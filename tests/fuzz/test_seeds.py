"""What was found to break a way in does so no more, nor does what was whole and is cut or changed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import targets

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS = sorted(path for path in (Path(__file__).parent / "seeds").glob("*/*"))


@pytest.fixture(scope="module", autouse=True)
def _ways() -> Iterator[None]:
    yield
    targets.close()


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_breaks_nothing(seed: Path) -> None:
    targets.TARGETS[seed.parent.name](seed.read_bytes())


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_what_is_damaged_breaks_nothing(name: str) -> None:
    dice = random.Random(name)  # noqa: S311  # no secret
    for whole in targets.beginnings(name):
        targets.TARGETS[name](whole)
        for _ in range(15):
            data = bytearray(whole)
            for _ in range(dice.randint(1, 8)):
                if data:
                    data[dice.randrange(len(data))] = dice.randrange(256)
            targets.TARGETS[name](bytes(data[: dice.randint(0, len(data))] if dice.random() < 0.3 else data))
