"""How old frames grow that wait for a shared engine, whatever else the machine does (several_cameras.md).

    python benchmarks/turns.py            # 20 s
    PYTHONPATH=BEFORE python benchmarks/turns.py    # the same of another checkout's package

Four cameras of 30 frames a second share one engine that sleeps as long as yolov8n_640 took beside four
decoders on two cores: 43 ms at the median, 160 ms at p99. The pipelines are the daemon's; no core is short:
what is seen is the waiting for turns alone.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "pipeline"))
from parts import FakeEngine, Rig, Sink, Source, detector

from edged.engines.pool import EnginePool
from edged.model.detector import Detector

_CAMERAS, _FPS, _SECONDS = 4, 30.0, 20
_MEDIAN_S, _SPREAD = 0.043, 0.15
_SLOW, _SLOW_TIMES = 0.06, (1.8, 4.0)
"""Share of the inferences that others hold up, and by how much."""
_PREPROCESS_S = 0.003


def main() -> None:
    """Print one line of figures."""
    chance = random.Random(1)  # noqa: S311  # no secret

    def infer(_: int) -> None:
        slow = chance.random() < _SLOW
        time.sleep(_MEDIAN_S * (chance.uniform(*_SLOW_TIMES) if slow else chance.lognormvariate(0, _SPREAD)))

    pool = EnginePool([FakeEngine(infer)])
    rigs = []
    for _ in range(_CAMERAS):
        one = detector(preprocess=lambda _: time.sleep(_PREPROCESS_S))
        shared = Detector(one.model, pool, one.preprocess, one.decoder, frozenset())
        rigs.append(Rig(Source(round(_SECONDS * _FPS), live=True, fps=_FPS), shared, Sink()))

    async def run() -> None:
        await asyncio.gather(*(rig.run() for rig in rigs))

    began = time.monotonic()
    asyncio.run(run())
    took = time.monotonic() - began
    results = [rig.sinks[0].results for rig in rigs]
    for rig in rigs:
        rig.closed()
    predict, total = (
        [result.timings_ms[stage] for result in chain.from_iterable(results)]
        for stage in ("predict", "total")
    )
    median = statistics.median(predict)
    print(
        f"{len(predict)} results, the engine used to {sum(predict) / 1e3 / took:.3f}, "
        f"shares {min(map(len, results))} to {max(map(len, results))}; "
        f"an inference {shown(predict)} ms, capture to result {shown(total)} ms (50, 90, 99 %): "
        f"p99 of {percentile(total, 99) / median:.2f} inference times"
    )


def percentile(values: list[float], part: int) -> float:
    """So many of a hundred are not above it."""
    return statistics.quantiles(values, n=100)[part - 1]


def shown(values: list[float]) -> str:
    """Three percentiles."""
    return "/".join(f"{percentile(values, part):.0f}" for part in (50, 90, 99))


if __name__ == "__main__":
    main()
