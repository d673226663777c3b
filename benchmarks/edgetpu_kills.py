"""Invokes through the child while it is killed again and again: nothing may leak and no result may be wrong.

Runs with the fake Edge TPU of the tests and a CPU twin; kills come at random moments, in the middle of an
invoke or between two. Prints what happened and fails if anything is left behind::

    python benchmarks/edgetpu_kills.py                              # 10,000 invokes, about 2 minutes
    python benchmarks/edgetpu_kills.py --invokes 500 --kills 15     # as the tests do it
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import structlog

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "engines" / "edgetpu"))
import coral_rig  # the fake is that of the tests

from edged import bridge
from edged.backoff import Backoff
from edged.engines.coral.edgetpu import EdgeTpuEngine, TpuAccess
from edged.engines.cpu import CpuEngine
from edged.engines.failover import FailoverEngine
from edged.engines.selection import Wanted, open_engines
from edged.engines.tenancy import Tenancy

if TYPE_CHECKING:
    from edged.records import Tensor

WARM_UP_KILLS = 2
LONGEST_UP_S = 0.03
RSS_LIMIT_KB = 4096


def main() -> int:
    """Run, and tell what is left."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--invokes", type=int, default=10_000, help="that the device answers")
    parser.add_argument("--kills", type=int, default=300)
    default = os.environ.get("EDGED_SHARED", Path(__file__).parents[2] / "shared")
    parser.add_argument("--models", type=Path, default=Path(default) / "models", metavar="FOLDER")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder:
        plug = coral_rig.Plug(Path(folder) / "plug")
        plug.put()
        os.environ["FAKE_EDGETPU"] = str(plug.path)
        return Torture(options.models, coral_rig.build(Path(folder))).run(options.invokes, options.kills)


class Torture:
    """One engine with a twin, and who kills its child."""

    def __init__(self, models: Path, library: Path) -> None:
        self._wanted = Wanted(
            model=models / coral_rig.CLASSIFIER,
            compiled=True,
            twin=models / coral_rig.CLASSIFIER_TWIN,
            devices=("edgetpu",),
            workers=1,
            threads=1,
            twin_threads=1,
            access=TpuAccess(library=str(library)),
            backoff=partial(Backoff, 0.02, 0.05),
        )
        self._random = random.Random(6)  # noqa: S311  # the same kills every time
        self._kills = 0
        self._done = threading.Event()

    def run(self, invokes: int, kills: int) -> int:
        """Until the device has answered so often and was killed so often."""
        shape = CpuEngine(self._wanted.twin or "").inputs[0]
        tensor: Tensor = self._picture(shape.shape)
        of_device, of_twin = self._expected(tensor)
        self._round(tensor, of_device, of_twin, invokes=100, kills=WARM_UP_KILLS)
        before = Left.now()
        started = time.monotonic()
        answers = self._round(tensor, of_device, of_twin, invokes, kills)
        took = time.monotonic() - started
        after = Left.now()
        device, twin, wrong = (answers[name] for name in ("device", "twin", "wrong"))
        print(f"{device} invokes answered by the device, {twin} by the twin, {wrong} wrong, in {took:.0f} s")
        print(f"{answers['kills']} kills, {answers['losses']} losses noticed in an invoke")
        print(f"before: {before}\nafter:  {after}")
        return int(bool(answers["wrong"]) or not after.as_good_as(before))

    def _picture(self, shape: tuple[int, ...]) -> Tensor:
        return np.random.default_rng(6).integers(0, 255, shape).astype(np.uint8)

    def _expected(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        engine = EdgeTpuEngine(self._wanted.model, self._wanted.access)
        of_device = engine.invoke(tensor)[0]
        engine.close()
        twin = CpuEngine(self._wanted.twin or "")
        return of_device, twin.invoke(tensor)[0]

    def _round(
        self, tensor: Tensor, of_device: Tensor, of_twin: Tensor, invokes: int, kills: int
    ) -> dict[str, int]:
        (engine,) = open_engines(self._wanted, Tenancy())
        assert isinstance(engine, FailoverEngine)
        answers = dict.fromkeys(("device", "twin", "wrong", "kills", "losses"), 0)
        self._done.clear()
        self._kills = 0
        killer = bridge.start("killer", lambda: self._kill(engine, kills))
        while answers["device"] < invokes or self._kills < kills:
            output = engine.invoke(tensor)[0]
            if np.array_equal(output, of_device):
                answers["device"] += 1
            elif np.array_equal(output, of_twin):
                answers["twin"] += 1
                time.sleep(0.005)
            else:
                answers["wrong"] += 1
            # So that the invokes are spread over all lives of the child.
            if answers["device"] > invokes * (self._kills + 1) / (kills + 1):
                time.sleep(0.002)
        self._done.set()
        killer.join()
        answers["kills"], answers["losses"] = self._kills, engine.losses
        engine.close()
        return answers

    def _kill(self, engine: FailoverEngine, kills: int) -> None:
        while self._kills < kills and not self._done.is_set():
            if engine.degraded:
                time.sleep(0.002)
                continue
            time.sleep(self._random.uniform(0, LONGEST_UP_S))
            for child in coral_rig.children():
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                    self._kills += 1
            time.sleep(0.01)


class Left:
    """What could be left behind."""

    def __init__(self) -> None:
        self.children = len(coral_rig.children())
        self.descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        self.named = sorted(os.listdir("/dev/shm"))  # noqa: PTH208, S108
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
        self.tensors = maps.count("edged-tensors")
        self.threads = threading.active_count()
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        self.rss_kb = int(status.partition("VmRSS:")[2].split()[0])

    @classmethod
    def now(cls) -> Left:
        """After everything that ends has had time to end."""
        time.sleep(0.3)
        return cls()

    def as_good_as(self, before: Left) -> bool:
        """Whether nothing has been added."""
        same = ("children", "descriptors", "named", "tensors", "threads")
        return all(getattr(self, name) == getattr(before, name) for name in same) and (
            self.rss_kb - before.rss_kb < RSS_LIMIT_KB
        )

    def __str__(self) -> str:
        return (
            f"{self.children} children, {self.descriptors} file descriptors, {self.tensors} mapped segments, "
            f"{len(self.named)} named ones, {self.threads} threads, {self.rss_kb} KB resident"
        )


if __name__ == "__main__":
    sys.exit(main())
