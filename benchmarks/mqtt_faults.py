"""What becomes of messages when the broker is restarted, killed or frozen, and when edged itself is killed.

Runs a real mosquitto (it must be installed) and a persistent QoS 1 subscriber, prints a table and fails if a
promise is broken::

    python benchmarks/mqtt_faults.py                # about 8 minutes
    python benchmarks/mqtt_faults.py --seconds 20   # each scenario shortened
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "mqtt"))
sys.path.insert(1, str(Path(__file__).parent.parent))
import scenarios  # the tests run the same ones, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenarios import Outcome

RSS_LIMIT_MB = 20.0


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the runs with restarts")
    parser.add_argument("--only", help="name of one scenario")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    seconds = options.seconds
    count = max(3, round(seconds / 6))
    frozen = seconds / 2

    runs: dict[str, Callable[[Path], Outcome]] = {
        "restarts, SIGTERM": lambda folder: scenarios.restarts(
            folder, number=signal.SIGTERM, count=count, rate=40, seconds=seconds, seed=4
        ),
        "restarts, SIGKILL": lambda folder: scenarios.restarts(
            folder, number=signal.SIGKILL, count=count, rate=40, seconds=seconds, seed=5
        ),
        "frozen, memory only": lambda folder: scenarios.freeze(
            folder, rate=200, frozen_s=frozen, spool=False
        ),
        "frozen, with spool": lambda folder: scenarios.freeze(folder, rate=200, frozen_s=frozen, spool=True),
        "edged killed": lambda folder: scenarios.killed(folder, rate=100, outage_s=seconds / 6),
    }
    checks: dict[str, Callable[[Outcome], dict[str, bool]]] = {
        "restarts, SIGTERM": lambda run: {"all received": not run.missing, "order": run.in_order},
        "restarts, SIGKILL": lambda run: {"missing were acknowledged": run.missing <= run.acked},
        "frozen, memory only": _steady,
        "frozen, with spool": lambda run: _steady(run) | {"all received": not run.missing},
        "edged killed": lambda run: {
            "only the last 1.5 s are lost": run.missing
            <= {(run.boot_id, seq) for seq in range(run.made - 150, run.made)}
        },
    }
    print(
        f"{'scenario':21}{'made':>7}{'acked':>7}{'recvd':>7}{'missing':>9}{'twice':>7}{'starts':>8}"
        f"{'RSS MB':>8}{'send ms':>9}  dropped"
    )
    broken = []
    for name, run in runs.items():
        if options.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            outcome = run(Path(folder) / "broker")
        assert outcome.account is not None
        print(
            f"{name:21}{outcome.made:7}{len(outcome.acked):7}{len(outcome.received):7}{len(outcome.missing):9}"
            f"{outcome.duplicates:7}{outcome.restarts:8}{outcome.rss_growth_mb:8.1f}"
            f"{outcome.slowest_send_ms:9.1f}  {outcome.account.dropped or '-'}"
        )
        if (stats := outcome.stages.get("capture_to_ack")) is not None:
            print(
                f"{'':21}capture to PUBACK: p50 {stats.p50_ms:.1f} ms, p95 {stats.p95_ms:.1f} ms", flush=True
            )
        results = checks[name](outcome) | {"the account closes": outcome.account.closes}
        broken += [f"{name}: {promise}" for promise, kept in results.items() if not kept]
    for promise in broken:
        print(f"BROKEN  {promise}")
    return 1 if broken else 0


def _steady(run: Outcome) -> dict[str, bool]:
    """Sending went on as if nothing were."""
    return {
        "bounded memory": run.rss_growth_mb < RSS_LIMIT_MB,
        "200 results/s": run.made / run.seconds > 199,
        "sending never blocked": run.slowest_send_ms < 1000,  # a busy machine may pause us, a broker may not
    }


if __name__ == "__main__":
    raise SystemExit(main())
