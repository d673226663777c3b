"""The pages and figures of the live view over HTTP, as its visitors see them."""

from __future__ import annotations

import dataclasses
import http.client
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from daemon import until
from made import START, result
from prometheus_client.parser import text_string_to_metric_families
from viewing import REPORT, RUNNING, Camera, Viewer, get, port, serving

from edged.errors import SinkError
from edged.http.setup import setup
from edged.http.site import Site
from edged.settings.listener import parse
from edged.settings.loading import load_all
from edged.sinks.http import HttpSink

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("path", "kind", "says"),
    [
        ("/", "text/html", b"<!doctype html>"),
        ("/view.css", "text/css", b"body"),
        ("/view.js", "text/javascript", b"live.json"),
        ("/page.js", "text/javascript", b"stream.mjpg"),
        ("/icon.svg", "image/svg+xml", b"<svg"),
    ],
)
def test_the_page_is_served_whole_and_needs_nothing_from_elsewhere(
    sink: HttpSink, path: str, kind: str, says: bytes
) -> None:
    status, headers, body = get(sink, path)
    assert status == 200
    assert headers["Content-Type"].startswith(kind)
    assert says in body
    assert not re.search(rb"""["'(]\s*(https?:)?//""", body.replace(b"http://www.w3.org/2000/svg", b""))
    assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in headers
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_other_paths_and_methods_are_refused(sink: HttpSink) -> None:
    assert get(sink, "/nothing")[0] == 404
    assert get(sink, "/../../etc/passwd")[0] == 404
    connection = http.client.HTTPConnection("127.0.0.1", port(sink), timeout=60)
    connection.request("POST", "/live.json", body=b"x" * 100)
    assert connection.getresponse().status in {403, 405}
    connection.close()


def test_figures_are_those_of_the_last_frames(sink: HttpSink) -> None:
    sink.state(RUNNING)
    sink.report(REPORT)
    with Camera(sink, fps=40) as camera:
        until(lambda: camera.sent > 60)
        live = json.loads(get(sink, "/live.json")[2])
    assert live["title"] == "front door"
    assert live["health"] == {"status": "ok", "lifecycle": "running", "problems": []}
    assert 5 < live["fps"] < 45
    assert live["results"] >= 60
    assert list(live["stages"])[-1] == "total"
    assert live["stages"]["predict"]["p50_ms"] == 6.0
    assert live["stages"]["predict"]["max_ms"] == 7.0
    # What only sinks know comes from the report.
    assert live["stages"]["encode"] == {"p50_ms": 2.0, "max_ms": 5.0}
    assert live["sightings"][0]["most"] == {"person": 1}
    assert live["state"]["source"] == RUNNING.source
    assert live["report"]["frames"]["dropped"] == {"superseded": 14}


def test_health_tells_whether_detection_goes_on(sink: HttpSink) -> None:
    def health() -> tuple[int, str]:
        status, _, body = get(sink, "/healthz")
        return status, json.loads(body)["status"]

    def live() -> dict[str, Any]:
        content: dict[str, Any] = json.loads(get(sink, "/live.json")[2])
        return content

    from dataclasses import replace

    assert health() == (503, "failed")  # still starting
    sink.state(RUNNING)
    assert health() == (200, "ok")
    sink.state(replace(RUNNING, degraded=("the disk is full",)))
    assert health() == (200, "degraded")
    sink.state(replace(RUNNING, camera_online=False))
    assert health() == (503, "failed")
    sink.state(replace(RUNNING, lifecycle="paused"))
    assert health() == (200, "ok")
    sink.send(result(0, pts=0.0, ts=START, seen=True))
    assert live()["objects"] is None, "what was seen last says nothing of now"
    assert live()["health"]["lifecycle"] == "paused"
    sink.state(RUNNING)
    assert live()["objects"]["items"][0]["label"] == "person"
    sink.state(replace(RUNNING, lifecycle="stopping"))
    assert health() == (503, "failed")


def test_objects_say_what_they_are_more_exactly(sink: HttpSink) -> None:
    """The field is there where a second model has said something, as in the messages."""
    sink.state(RUNNING)
    seen = result(0, pts=0.0, ts=START, seen=True)
    (found,) = seen.detections
    named = found._replace(sub_label="robin", sub_score=0.8)
    sink.send(dataclasses.replace(seen, detections=(named, found)))
    items = json.loads(get(sink, "/live.json")[2])["objects"]["items"]
    assert [item.get("sub_label") for item in items] == ["robin", None]


def test_metrics_are_what_prometheus_reads(sink: HttpSink) -> None:
    sink.state(RUNNING)
    sink.report(REPORT)
    sink.report(REPORT)
    status, headers, body = get(sink, "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert samples["edged_frames_captured_total",] == 310
    assert samples["edged_frames_dropped_total", ("cause", "superseded")] == 14
    assert samples["edged_sink_results_total", ("fate", "failed"), ("sink", "video")] == 5
    assert samples["edged_reconnects_total",] == 3
    assert samples["edged_fps",] == 29.5
    assert samples["edged_stage_latency_seconds", ("quantile", "0.95"), ("stage", "predict")] == 0.007
    # Counts go on from interval to interval, quantiles are those of the last one.
    assert samples["edged_stage_latency_seconds_count", ("stage", "predict")] == 590
    assert samples["edged_lifecycle", ("edged_lifecycle", "running")] == 1
    assert samples["edged_host", ("sensor", "throttled")] == 1
    assert samples["process_resident_memory_bytes",] > 1e6
    openmetrics = get(sink, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert openmetrics[1]["Content-Type"].startswith("application/openmetrics-text")


def test_metrics_before_there_is_anything_to_tell(sink: HttpSink) -> None:
    status, _, body = get(sink, "/metrics")
    assert status == 200
    assert b"edged_frames" not in body


def test_a_port_that_is_taken_is_told(sink: HttpSink) -> None:
    second = HttpSink(Site(parse(f"127.0.0.1:{port(sink)}"), token=None))
    with pytest.raises(SinkError, match="EDGED_HTTP") as told:
        second.open()
    assert told.value.exit_code == 73


def test_a_port_can_be_taken_again_at_once() -> None:
    with serving() as first, Camera(first), Viewer(first) as viewer:
        viewer.picture()
        taken = port(first)
    with serving(f"127.0.0.1:{taken}") as second:
        assert get(second, "/live.json")[0] == 200


def test_several_cameras_have_pages_below_their_names() -> None:
    """One listener; each camera a page and a label in the metrics; the health is of all."""
    site = Site(parse("127.0.0.1:0"), token=None, several=True)
    front, back = (
        HttpSink(site, camera=name, title=name, give_back=lambda: None) for name in ("front", "back")
    )
    for one in (front, back):
        one.open()
        one.state(RUNNING)
        one.report(REPORT)
    try:
        assert b"grid.js" in get(front, "/")[2]
        assert b"view.js" in get(front, "/front/")[2]
        assert b"stream.mjpg" in get(front, "/front/page.js")[2]
        overview = json.loads(get(front, "/cameras.json")[2])
        assert [camera["name"] for camera in overview["cameras"]] == ["back", "front"]
        assert json.loads(get(front, "/back/live.json")[2])["title"] == "back"
        assert get(front, "/side/live.json")[0] == get(front, "/live.json")[0] == 404
        metrics = get(front, "/metrics")[2].decode()
        for name in ("front", "back"):
            assert re.search(rf'^edged_frames_inferred_total{{camera="{name}"}} 295', metrics, re.MULTILINE)
        assert len(re.findall(r"^# TYPE edged_fps ", metrics, re.MULTILINE)) == 1
        for one, troubles in ((front, ("refused", "dark")), (back, ("refused",))):
            one.state(dataclasses.replace(RUNNING, degraded=troubles))
        assert json.loads(get(front, "/healthz")[2])["problems"] == ["refused", "front: dark"]
        front.state(RUNNING)
        back.state(dataclasses.replace(RUNNING, camera_online=False))
        status, _, body = get(front, "/healthz")
        told = json.loads(body)
        assert (status, told["status"]) == (200, "degraded")
        assert [problem[:17] for problem in told["problems"]] == ["back: the source "]
        front.state(dataclasses.replace(RUNNING, camera_online=False))
        assert get(front, "/healthz")[0] == 503
        back.close()
        assert get(front, "/back/live.json")[0] == 404
        front.close()
    finally:
        site.close()


def test_who_looks_goes_on_looking_over_a_reload_and_a_refused_one_changes_nothing() -> None:
    """The next sink joins before the one before leaves; the figures and the stream are the camera's."""
    site = Site(parse("127.0.0.1:0"), token=None)

    def joined(x: float) -> HttpSink:
        sink = HttpSink(site, title="door", setup={"roi": x}, give_back=lambda: None)
        sink.open()
        return sink

    def roi() -> float:
        return float(json.loads(get(first, "/setup.json")[2])["roi"])

    first = joined(1)
    try:
        first.state(RUNNING)
        with Camera(first), Viewer(first) as viewer:
            viewer.picture()
            refused = joined(2)
            refused.close()
            assert roi() == 1
            following = joined(3)
            first.close()
        assert roi() == 3
        assert json.loads(get(first, "/live.json")[2])["results"] > 0
        with Camera(following):
            assert get(first, "/snapshot.jpg")[0] == 200
        following.close()
        assert get(first, "/live.json")[0] == 503
    finally:
        site.close()


def test_what_the_settings_say_of_where_to_look_is_told_without_secrets(tmp_path: Path) -> None:
    env_file = tmp_path / "edged.env"
    env_file.write_text(
        "EDGED_CAMERAS=front,side-door\nEDGED_SOURCE=rtsp://me:secret@127.0.0.1/x\nEDGED_MODEL=m.tflite\n"
        "EDGED_ZONE_PORCH=person@0.1,0.5 0.6,0.5 0.6,1 dwell=3\nEDGED_SIDE_DOOR_ROI=0,0,10,20\n"
        "EDGED_SCORES=person:0.6\nEDGED_AREAS=person:0.002-0.5\n"
    )
    front, side = (setup(settings) for settings in load_all(env_file, {}))
    assert (front["prefix"], side["prefix"], front["shared"]) == (
        "EDGED_FRONT_",
        "EDGED_SIDE_DOOR_",
        "EDGED_",
    )
    points = ((0.1, 0.5), (0.6, 0.5), (0.6, 1.0))
    assert side["zone"] == [{"name": "porch", "points": points, "labels": ["person"], "dwell": 3.0}]
    assert (front["roi"], side["roi"]) == (None, (0, 0, 10, 20))
    assert (side["scores"], side["areas"]) == ({"person": 0.6}, {"person": [0.002, 0.5]})
    assert "secret" not in json.dumps([front, side])
