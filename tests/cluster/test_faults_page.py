"""What docs/reliability.md shows for services of one's own, run as pasted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


@pytest.mark.timeout(300)
def test_the_example_runs_as_pasted(tmp_path: Path) -> None:
    service, test = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "my_service.py").write_text(service)
    (tmp_path / "test_my_service.py").write_text(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_service.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_test_it_names_exists() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_faults_*.py"))
    named = set(re.findall(r"\b(test_[a-z_]+)`", PAGE.read_text()))
    assert len(named) > 20
    for name in named:
        assert f"def {name}(" in tests, name
