"""Alert rules, dashboard and scrape configuration fit what edged exports, as a real Prometheus sees it."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from daemon import ROOT, Daemon, until
from rig import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROMETHEUS = ROOT / "deploy/prometheus"


@pytest.fixture(autouse=True)
def _needs_prometheus() -> None:
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.skip("prometheus is not installed (apt install prometheus)")


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, check=False, cwd=PROMETHEUS
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_comes_for_who_is_ill_and_for_nobody_else() -> None:
    """By promtool's own unit tests, which have a case for each alert."""
    promtool("check", "rules", "edged.rules.yml")
    promtool("test", "rules", "edged.tests.yml")
    (group,) = yaml.safe_load((PROMETHEUS / "edged.rules.yml").read_text())["groups"]
    cases = yaml.safe_load((PROMETHEUS / "edged.tests.yml").read_text())["tests"]
    tried = {case["alertname"] for test in cases for case in test["alert_rule_test"]}
    assert tried == {rule["alert"] for rule in group["rules"]}


@pytest.fixture
def ask(tmp_path: Path, demo_model: Path, demo_clip: Path) -> Iterator[Callable[[str], list[Any]]]:
    """A Prometheus that scrapes a daemon as deploy/prometheus says, but more often; asks it for a query."""
    edged_port, port = free_port(), free_port()
    folder = tmp_path / "prometheus"
    shutil.copytree(PROMETHEUS, folder)
    config = yaml.safe_load((folder / "prometheus.yml").read_text())
    config["global"]["scrape_interval"] = "1s"
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{edged_port}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "edged.token").write_text(secrets.token_hex(16))
    settings = {
        "EDGED_SOURCE": str(demo_clip),
        "EDGED_LOOP": "true",
        "EDGED_POLICY": "latest",
        "EDGED_FPS": "10",  # so that frames are left out, which has a panel
        "EDGED_MODEL": str(demo_model),
        "EDGED_HTTP": f"0.0.0.0:{edged_port}",
        "EDGED_HTTP_TOKEN_FILE": str(folder / "edged.token"),
        "EDGED_STATS_INTERVAL": "1",
    }

    def ask(query: str) -> list[Any]:
        address = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                result: list[Any] = json.load(answer)["data"]["result"]
                return result
        except OSError:
            return []  # it does not listen yet

    with Daemon(tmp_path, settings), (tmp_path / "prometheus.log").open("wb") as log:
        command = ["prometheus", f"--config.file={folder}/prometheus.yml"]
        command += [f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until(lambda: ask("edged_fps > 0"), why=(tmp_path / "prometheus.log").read_text)
            yield ask
        finally:
            process.terminate()
            process.wait(20)


def test_every_query_finds_what_a_daemon_exports(ask: Callable[[str], list[Any]]) -> None:
    """Those of the dashboard give something; the metrics of the alerts exist."""
    dashboard = json.loads((ROOT / "deploy/grafana/edged.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(queries) == len(dashboard["panels"]) > 5
    for query in queries:
        filled = query.replace("$instance", ".*").replace("$__rate_interval", "1m")
        until(lambda filled=filled: ask(filled), why=lambda filled=filled: filled)  # type: ignore[misc]
    (group,) = yaml.safe_load((PROMETHEUS / "edged.rules.yml").read_text())["groups"]
    exported = {
        name for rule in group["rules"] for name in re.findall(r"\bedged_[a-z_]+(?=[{\[ ])", rule["expr"])
    }
    assert len(exported) >= 6
    for name in exported:
        assert ask(name), name
    assert not ask('ALERTS{alertstate="firing"}')
