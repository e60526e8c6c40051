"""Ends a child process when its parent is gone, however the parent went."""

from __future__ import annotations

import os
import signal
import sys
import threading


def end_with_parent() -> None:
    """The parent holds the other end of stdin and never writes: its end is the end of file."""

    def watch() -> None:
        # The file descriptor, not sys.stdin: its lock would hang the interpreter's exit.
        while os.read(sys.stdin.fileno(), 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="leash", daemon=True).start()
