"""Report and state as Prometheus wants them. Totals are those of the last report (EDGED_STATS_INTERVAL)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    StateSetMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from edged.http.exported import Told
    from edged.records import Report, State

_HOST = "edged_host"
_LIFECYCLES = ("starting", "running", "paused", "stopping", "stopped")


def page(cameras: Mapping[str, Told], accept: str) -> tuple[bytes, str]:
    """All metrics in the text format that ``accept`` (the HTTP header) asks for, and its content type.

    Args:
        cameras: by the name that is their label; the only camera is called nothing and has no label.
        accept: as the visitor sent it.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Cameras(cameras))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Cameras(Collector):
    """Metrics of the same name from all cameras as one, told apart by a label."""

    def __init__(self, cameras: Mapping[str, Told]) -> None:
        self._cameras = cameras

    def describe(self) -> Iterable[Metric]:
        """Nothing before there is something: registering must not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for name, camera in self._cameras.items():
            for family in _metrics(camera):
                if name and family.name == _HOST:  # one machine
                    families.setdefault(family.name, family)
                    continue
                label = {"camera": name} if name else {}
                samples = [one._replace(labels={**label, **one.labels}) for one in family.samples]
                family.samples = [
                    *(families[family.name].samples if family.name in families else ()),
                    *samples,
                ]
                families[family.name] = family
        yield from families.values()


def _metrics(told: Told) -> Iterator[Metric]:
    if told.state is not None:
        yield from _of_state(told.state)
    if told.report is not None:
        yield _gauge("edged_report_timestamp_seconds", "When the figures were taken", told.reported_at)
        yield from _of_report(told.report)
        yield _latencies(told.report, told.stage_counts)


def _of_state(state: State) -> Iterator[Metric]:
    info = {
        "version": state.version,
        "model": state.model,
        "device": state.device,
        "runtime": state.runtime,
        "config_hash": state.config_hash,
    }
    yield InfoMetricFamily("edged", "What runs", value=info)
    lifecycle = {name: name == state.lifecycle for name in _LIFECYCLES}
    yield StateSetMetricFamily("edged_lifecycle", "What the daemon is doing", value=lifecycle)
    yield _gauge("edged_camera_online", "Whether the source gives frames", state.camera_online)
    yield _gauge("edged_degraded", "Reasons why not all is well", len(state.degraded))


def _of_report(report: Report) -> Iterator[Metric]:
    frames = report.frames
    yield _gauge("edged_fps", "Results a second over the last interval", report.fps)
    yield CounterMetricFamily("edged_frames_captured", "Frames taken from the source", value=frames.captured)
    yield CounterMetricFamily(
        "edged_frames_inferred", "Frames that the model made a result", value=frames.inferred
    )
    yield CounterMetricFamily(
        "edged_frames_still", "Frames in which nothing moved, results without the model", value=frames.still
    )
    dropped = CounterMetricFamily("edged_frames_dropped", "Frames that became none", labels=["cause"])
    for cause, count in frames.dropped.items():
        dropped.add_metric([cause], count)
    yield dropped
    yield _gauge("edged_frames_in_flight", "Frames on their way", frames.in_flight)
    yield CounterMetricFamily("edged_reconnects", "Times the source came back", value=report.reconnects)
    results = CounterMetricFamily("edged_sink_results", "Results by sink and fate", labels=["sink", "fate"])
    for sink, fates in report.sinks.items():
        for fate, count in fates.items():
            results.add_metric([sink, fate], count)
    yield results
    host = GaugeMetricFamily(_HOST, "Health of the machine", labels=["sensor"])
    for sensor, value in report.host.items():
        host.add_metric([sensor], float(value))
    yield host


def _latencies(report: Report, counts: Mapping[str, int]) -> Metric:
    """Quantiles over the last interval, counts since the start. A sum is not kept, so there is none."""
    family = SummaryMetricFamily(
        "edged_stage_latency_seconds", "Time that a frame spends in a stage", labels=["stage"]
    )
    for stage, stats in report.stages.items():
        quantiles = {"0.5": stats.p50_ms, "0.95": stats.p95_ms, "0.99": stats.p99_ms, "1": stats.max_ms}
        for quantile, ms in quantiles.items():
            family.add_sample(family.name, {"stage": stage, "quantile": quantile}, ms / 1e3)
    for stage, count in counts.items():
        family.add_sample(f"{family.name}_count", {"stage": stage}, count)
    return family


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=float(value))
