"""deploy/: alert rules and the dashboard, as the real promtool reads them, of numbers that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidings.observe import metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "tidings.rules.yml"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "tidings.json").read_text())
NAMES = {
    f"{it.prometheus_name}_total" if it.kind == "counter" else it.prometheus_name
    for it in (*metrics.PUBLISHER, *metrics.CONSUMER)
    if it.place != "otel"
}


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("there is no promtool (Debian's package prometheus): alert rules were NOT checked")
    return found


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_load_and_do_what_they_say(promtool: str) -> None:
    assert "13 rules found" in _run(promtool, "check", "rules", str(RULES))
    assert "SUCCESS" in _run(promtool, "test", "rules", str(RULES.with_name("tidings.test.yml")))


def _panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", [])


def _expressions() -> list[str]:
    found = [target["expr"] for panel in _panels() for target in panel.get("targets", [])]
    return [re.sub(r"\$__(rate_interval|range)", "5m", expression) for expression in found]


def test_the_dashboards_expressions_load(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": it} for number, it in enumerate(_expressions())]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in _run(promtool, "check", "rules", str(path))


def test_what_they_ask_for_is_what_we_tell() -> None:
    rules = [rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    for where in (rules, _expressions()):
        asked = {name for it in where for name in re.findall(r"\b(?:kafka|tidings)_[a-z_]+", it)}
        assert asked - NAMES == set()
    told = {
        name for it in [*rules, *_expressions()] for name in re.findall(r"\b(?:kafka|tidings)_[a-z_]+", it)
    }
    assert NAMES - told == {
        "tidings_delivered_total",
        "tidings_discarded_total",
        "tidings_consumer_running",
        "tidings_consumer_duplicates_total",
    }


def test_the_dashboard_is_one() -> None:
    """What Grafana wants of a dashboard: ids and a grid without overlaps, variables that exist."""
    ids = [panel["id"] for panel in _panels()]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert grid["x"] + grid["w"] <= 24
        assert not taken & cells
        taken |= cells
    variables = {it["name"] for it in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(DASHBOARD["panels"]))) <= variables
