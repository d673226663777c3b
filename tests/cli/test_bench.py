"""``edged bench`` measures the pipeline against the bare model; here only that its figures are sound."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from daemon import edged

from edged.cli import main

if TYPE_CHECKING:
    from pathlib import Path

STAGES = ("capture", "preprocess", "predict", "postprocess")


@pytest.fixture
def settings(demo_model: Path, tmp_path: Path) -> dict[str, str]:
    """A small run with two outputs."""
    return {
        "EDGED_MODEL": str(demo_model),
        "EDGED_SOURCE": "synthetic:?width=320&height=240&fps=0&live=false",
        "EDGED_OUTPUT": str(tmp_path / "out.mp4"),
        "EDGED_JSONL": str(tmp_path / "lines.jsonl"),
        "EDGED_WORKERS": "1",
        "EDGED_THREADS": "1",
    }


def test_its_figures_are_sound(settings: dict[str, str], tmp_path: Path) -> None:
    done = edged("bench", "--frames", "30", "--rounds", "2", "--json", settings=settings)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["frames"], found["rounds"], found["workers"], found["threads"]) == (30, 2, 1, 1)
    for rate in ("raw_fps", "sequential_fps", "pipeline_fps", "ceiling_fps"):
        assert found[rate] > 0
    # No schedule of the same work can be faster than this; half as much again is noise.
    assert found["pipeline_fps"] < 1.5 * found["ceiling_fps"]
    assert 20 < found["peak_mb"] < 2000
    assert set(STAGES) <= found["alone"].keys()
    assert {"jsonl", "video"} <= found["alone"].keys()
    assert set(STAGES) <= found["together"].keys()
    for stage in STAGES:
        wall = found["alone"][stage]["wall"]
        assert wall["count"] == 60
        assert wall["p50_ms"] <= wall["p95_ms"] <= wall["p99_ms"] <= wall["max_ms"]
        assert found["together"][stage]["count"] >= 60
    assert found["alone"]["predict"]["cpu_ms"] > 0
    assert list(tmp_path.iterdir()) == [], "the outputs of the settings are left alone"


def test_the_table_shows_all_of_it(settings: dict[str, str]) -> None:
    done = edged("bench", "--frames", "10", "--rounds", "1", settings=settings | {"EDGED_TILES": "2x1"})
    assert done.returncode == 0, done.stderr
    assert "EDGED_TILES and EDGED_REGIONS are left out" in done.stderr
    for words in (
        "raw invoke",
        "one after the other",
        "ceiling",
        "pipeline",
        "peak memory",
        *STAGES,
        "video",
    ):
        assert words in done.stdout


def test_a_camera_is_refused_without_showing_its_password(settings: dict[str, str]) -> None:
    for source in ("synthetic:", "rtsp://admin:hunter2@127.0.0.1:1/stream"):
        done = edged("bench", "--frames", "10", "--rounds", "1", settings=settings | {"EDGED_SOURCE": source})
        assert done.returncode == 78
        assert "live" in done.stderr
        assert "hunter2" not in done.stderr
        assert "Traceback" not in done.stderr


def test_a_source_that_is_too_short_is_told(settings: dict[str, str]) -> None:
    short = settings | {"EDGED_SOURCE": "synthetic:?width=64&height=64&fps=0&live=false&count=5"}
    done = edged("bench", "--frames", "10", "--rounds", "1", settings=short)
    assert done.returncode == 69
    assert "ends after 5 frames" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_short_clip_is_played_again_and_again(settings: dict[str, str], shared: Path) -> None:
    image = next((shared / "images").iterdir())
    done = edged("bench", "--frames", "5", "--rounds", "1", settings=settings | {"EDGED_SOURCE": str(image)})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bench", "--frames", "0"), "'0' is not a whole number from 2"),
        (("bench", "--frames", "1"), "'1' is not a whole number from 2"),
        (("bench", "--frames", "nan"), "'nan' is not a whole number"),
        (("bench", "--rounds", "-1"), "'-1' is not a whole number from 1"),
        (("bench", "--rounds", "9" * 5000), "9' is not a whole number from 1"),
        (("models", "try", "a", "b", "--score", "nan"), "'nan' is not a number, more than 0 and up to 1"),
        (("models", "try", "a", "b", "--score", "0"), "'0' is not a number, more than 0"),
        (("models", "try", "a", "b", "--score", "2"), "'2' is not a number, more than 0"),
        (("fleet", "mqtt://h", "--listen", "inf"), "'inf' is not seconds, more than 0 and up to 86400"),
        (("fleet", "mqtt://h", "--listen", "1e9"), "'1e9' is not seconds"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """None is silently taken for another one."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
