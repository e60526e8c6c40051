"""docs/web.md: the blocks of its sections run, and print what their comments say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs/web.md").read_text()


def blocks(first: str, last: str) -> list[str]:
    """The Python of some sections, in order."""
    part = PAGE[PAGE.index(f"\n## {first}") : PAGE.index(f"\n## {last}")]
    return re.findall(r"```python\n(.*?)```", part, re.DOTALL)


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("first", "last", "prints"),
    [
        ("ASGI", "Without Kafka", 9),
        ("Without Kafka", "Flask", 2),
        ("Flask", "Django", 3),
        ("Tasks and threads", "What it costs", 1),
    ],
)
def test_the_comments_are_what_is_printed(tmp_path: Path, first: str, last: str, prints: int) -> None:
    program = "\n".join(blocks(first, last))
    said = re.findall(r"^ *print\(.*\)\s+# (.+)$", program, re.MULTILINE)
    assert len(said) == prints
    (tmp_path / "program.py").write_text(program)
    assert run(tmp_path, "program.py").splitlines()[-prints:] == said


def test_the_django_project_is_sound_and_its_tests_pass(tmp_path: Path) -> None:
    for block in blocks("Django", "Tasks and threads"):
        name, _, content = block.partition("\n")
        (tmp_path / name.removeprefix("# ")).write_text(content)
    assert "no issues" in run(tmp_path, "-m", "django", "check")
    assert "OK" in run(tmp_path, "-m", "django", "test")


def test_every_option_is_in_the_table() -> None:
    from tidings.web.options import AuditOptions

    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(AuditOptions.__annotations__)
