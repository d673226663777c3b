"""``edged run`` with wrong settings, outputs and brokers: the right exit code, one paragraph that helps."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from runs import SHORT, frames, ledger, nothing_left, refused, run


def test_settings_that_are_wrong_are_all_told_in_one_paragraph(tmp_path: Path) -> None:
    file = tmp_path / "edged.env"
    file.write_text("EDGED_MODLE=x\nEDGED_WORKERS=many\nEDGED_LOOP\n", encoding="utf-8")
    message = refused(
        run({"EDGED_MQTT_URL": "mqtt://user:hunter2@"}, "--env-file", str(file)),
        78,
        str(file),
        "EDGED_MODLE='x'",
        "EDGED_MODEL?",
        "EDGED_WORKERS='many'",
        "line 3",
        "EDGED_SOURCE is not set",
        "EDGED_MQTT_URL=",
    )
    assert "hunter2" not in message
    assert message.startswith("6 settings are wrong")


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_an_env_file_that_cannot_be_read(tmp_path: Path, what: str) -> None:
    file = tmp_path if what == "folder" else tmp_path / "missing.env"
    refused(run({}, "--env-file", str(file)), 78, str(file), "edged env")


def test_a_malformed_synthetic_source(settings: dict[str, str]) -> None:
    changes = {"EDGED_SOURCE": "synthetic:?width=none"}
    refused(run(settings | changes), 78, "synthetic:?width=none", "Write synthetic:")
    nothing_left(settings)


def test_outputs_that_cannot_be_written(settings: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "a folder.mp4"
    folder.mkdir()
    for name, value in (
        ("EDGED_OUTPUT", str(tmp_path / "missing" / "out.mp4")),
        ("EDGED_OUTPUT", "/proc/out.mp4"),
        ("EDGED_JSONL", str(tmp_path / "missing" / "lines.jsonl")),
        ("EDGED_JSONL", str(tmp_path)),
        ("EDGED_JSONL", "/proc/lines.jsonl"),
    ):
        refused(run(settings | {name: value}), 73, value, name)
        assert [path for path in tmp_path.iterdir() if path != folder] == []


def test_a_disk_that_is_full_is_told_at_the_end_and_costs_only_what_should_have_gone_there(
    settings: dict[str, str],
) -> None:
    done = run(settings | {"EDGED_JSONL": "/dev/full", "EDGED_SOURCE": SHORT})
    refused(done, 73, "jsonl", "No space left on device")
    account = ledger(done)
    assert account["sinks"]["jsonl"] == {"sent": 0, "failed": 40}
    assert frames(Path(settings["EDGED_OUTPUT"])) == 40


def test_a_broker_that_is_away_stops_nobody_and_its_messages_are_counted(settings: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    changes = {"EDGED_MQTT_URL": f"mqtt://127.0.0.1:{port}", "EDGED_MQTT_QUEUE": "20"}
    done = run(settings | changes | {"EDGED_STOP_TIMEOUT": "2", "EDGED_SOURCE": SHORT})
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert ledger(done)["inferred"] == 40
    assert frames(Path(settings["EDGED_OUTPUT"])) == 40
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    away = [line for line in told if line["event"] == "mqtt_not_connected"]
    assert str(port) in away[0]["reason"]
    assert len(away) == 1, "it is told once"
    account = next(line for line in told if line["event"] == "mqtt_delivery")
    assert account["closes"]
    assert account["acknowledged"] == 0
    assert account["made"] >= 40
    assert sum(account["dropped"].values()) == account["made"]


def test_the_password_of_a_broker_is_in_no_log(settings: dict[str, str]) -> None:
    changes = {
        "EDGED_MQTT_URL": "mqtt://user:hunter2@127.0.0.1:1",
        "EDGED_LOG_LEVEL": "debug",
        "EDGED_STOP_TIMEOUT": "1",
        "EDGED_SOURCE": "synthetic:?count=20&fps=0&live=false",
    }
    done = run(settings | changes)
    assert done.returncode == 0
    assert "hunter2" not in done.stderr + done.stdout
