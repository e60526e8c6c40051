"""Small programs, as users would write them, run in processes of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

PROGRAMS = Path(__file__).parent.parent / "behaviour" / "programs"
Run = Callable[..., "subprocess.CompletedProcess[str]"]
