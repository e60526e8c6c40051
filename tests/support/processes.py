"""Watching processes end: what the tests of orphans share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def start_python(script: str) -> subprocess.Popen[str]:
    """Run a script in a Python of its own, whose output is read and whose input is held open."""
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about (a zombie) does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return _state(pid) != "Z"


def _state(pid: int) -> str:
    """The letter that the system has for what a process does; "Z" also when it is gone by now."""
    if not Path("/proc/self/stat").exists():
        command = ["ps", "-o", "stat=", "-p", str(pid)]  # macOS; small images of Linux have no ps
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()[:1] or "Z"
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def memory_of(pid: int) -> int:
    """How much memory a process has in use (its resident set), in bytes."""
    command = ["ps", "-o", "rss=", "-p", str(pid)]
    return 1024 * int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def wait_until(true: Callable[[], bool], timeout: float = 30.0) -> bool:
    """Whether it becomes true within ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
