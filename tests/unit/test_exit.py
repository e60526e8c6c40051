"""Programs that forget close(): the exit of the process delivers, in bounded time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.files import read_lines
from support.scripts import PATIENCE, TESTS, run_script

PROGRAM = str(TESTS / "unit" / "programs" / "forgets_close.py")
WAYS = {"return": 0, "exit": 0, "raise": 1, "dropped": 0, "sigterm": 0, "sigint": 0, "asyncio": 0}


@pytest.mark.parametrize(("how", "code"), WAYS.items())
def test_a_forgotten_close_delivers(tmp_path: Path, how: str, code: int) -> None:
    run_script(PROGRAM, str(tmp_path / "sent"), how, "up", code=code)
    sent = {line["data"]["order_id"] for line in read_lines(tmp_path / "sent")}
    assert {str(number) for number in range(100)} <= sent


def test_with_a_thread_that_goes_on_publishing(tmp_path: Path) -> None:
    run_script(PROGRAM, str(tmp_path / "sent"), "publishing", "up")
    assert len(read_lines(tmp_path / "sent")) >= 100


@pytest.mark.parametrize("how", ["return", "sigterm"])
def test_an_exit_without_kafka_is_bounded_and_says_what_is_lost(tmp_path: Path, how: str) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, str(tmp_path / "sent"), how, "down"],
        env={"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert read_lines(tmp_path / "sent") == []
    named = done.stderr.count("CRITICAL event lost: event_id=")
    (rest,) = [
        line for line in done.stderr.splitlines() if "CRITICAL event lost" in line and " more: " in line
    ]
    assert named + int(rest.split("event lost: ")[1].split()[0]) == 100
    assert "Traceback" not in done.stderr
