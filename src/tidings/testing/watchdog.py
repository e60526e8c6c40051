"""Run beside a real Kafka: when the process that started it is gone, kill the nodes and remove their
directory.

Entered by its path, ``python -I -S watchdog.py DIRECTORY PARENT``, with a pipe from the parent as descriptor
0, so that it starts in 15 ms and depends on nothing but the standard library. Each process to end has written
its id into a file ``*.pid`` in the directory before it became a JVM, see kafkanode.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

_LOOK_EVERY = 0.25  # seconds; why both a pipe and a look: tidings.testing.lifeline
_REMOVE_WITHIN = 10.0


def wait_for_end(parent: int) -> None:
    """Return when the pipe is closed or this process has been handed to another parent."""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], _LOOK_EVERY)
        if readable:
            return


def kill_nodes(directory: Path) -> None:
    """Kill every process group that a ``*.pid`` file names; each node leads its own."""
    for file in directory.glob("*.pid"):
        pid = int(file.read_text() or "0")
        try:
            if pid > 1 and os.getsid(pid) == pid:  # still a leader of its session: not a number used again
                os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue  # it has ended; macOS says "permission" of one whose parent has not asked for its status


def remove(directory: Path) -> None:
    """Remove the directory; again, while a process that is just dying still writes into it."""
    deadline = time.monotonic() + _REMOVE_WITHIN
    while directory.exists() and time.monotonic() < deadline:
        kill_nodes(directory)
        shutil.rmtree(directory, ignore_errors=True)
        time.sleep(0.05)


if __name__ == "__main__":
    wait_for_end(int(sys.argv[2]))
    remove(Path(sys.argv[1]))
