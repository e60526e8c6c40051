"""docs/observing.md: its blocks run in order, print what its comments say, and log what it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tidings.observe import metrics
from tidings.testing import EmbeddedBroker

PAGE = (Path(__file__).parents[2] / "docs/observing.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    script = tmp_path_factory.mktemp("observing") / "observing.py"
    script.write_text("\n".join(_blocks("python")))
    with EmbeddedBroker() as broker:
        broker.create_topic("orders")
        done = subprocess.run(
            [sys.executable, "-W", "error", str(script)],
            env={**os.environ, "KAFKA_BROKERS": broker.bootstrap_servers},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_comments_are_what_is_printed(printed: list[str]) -> None:
    said = re.findall(r"^print\(.*\)\s+# (.+)$", "\n".join(_blocks("python")), re.MULTILINE)
    assert len(said) == 4
    assert [line for line in printed if line in said] == said


def test_the_line_of_json_is_what_is_logged(printed: list[str]) -> None:
    shown = json.loads(_blocks("json")[1])
    (logged,) = [found for line in printed if '"shop", "message"' in line and (found := json.loads(line))]
    assert list(logged) == list(shown)
    assert {**logged, "time": ""} == {**shown, "time": ""}


def test_a_structlog_logger_gets_the_fields(printed: list[str]) -> None:
    (line,) = [line for line in printed if "event rejected" in line]
    assert "KAFKA_INVALID_TOPIC" in line
    assert "component" in line


def test_the_report_has_the_fields_it_has(printed: list[str]) -> None:
    report = json.loads(_blocks("json")[0])
    assert set(report) == {"status", "ready", "checks", "duration_ms", "checked_at"}


def test_the_table_names_every_metric() -> None:
    table = PAGE[PAGE.index("| Prometheus |") : PAGE.index("Series are by")]
    for metric in (*metrics.PUBLISHER, *metrics.CONSUMER):
        if metric.place != "otel":
            name = metric.prometheus_name
            assert name in table or f"`_{name.partition('_')[2].removeprefix('consumer_')}_" in table, name
