"""examples/outbox_demo, as a newcomer runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.scripts import PATIENCE

ROOT = Path(__file__).parents[2]


def test_the_story_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.outbox_demo", "--orders=100"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "yes  every committed event is in Kafka (90 of them)" in done.stdout
