"""Running Python in processes of their own, where signals and forks can do no harm to pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent
PATIENCE = 150
"""Seconds: a script that takes longer hangs."""


def run_script(*arguments: str, code: int = 0) -> str:
    """Run ``python -W error *arguments`` with the tests' helpers to import; its output, if it ended so."""
    paths = [str(TESTS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == code, f"ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
