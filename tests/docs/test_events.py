"""docs/events.md: its blocks run in order, and print what its comments say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs/events.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    script = tmp_path_factory.mktemp("events") / "events.py"
    script.write_text("\n".join(_blocks("python")))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_comments_are_what_is_printed(printed: list[str]) -> None:
    said = re.findall(r"^print\(.*\)\s+# (.+)$", "\n".join(_blocks("python")), re.MULTILINE)
    assert len(said) == 6
    assert [line for line in printed if line in said] == said


def test_the_json_is_what_is_on_the_wire(printed: list[str]) -> None:
    (shown,) = _blocks("json")
    assert json.loads(shown) == json.loads(printed[1])


def test_the_breaking_changes_are_named(printed: list[str]) -> None:
    text = "\n".join(printed)
    assert "total" in text
    assert "currency" in text
