"""The demo's voice: one line at a time, each with its moment, readable in a terminal and in a file alike."""

from __future__ import annotations

import os
import signal
import threading
import time

from examples.users_demo.interrupts import Interrupts


class Narrator:
    """Says lines on stdout. Any thread."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts
        self._started = time.monotonic()
        self._turn = threading.Lock()

    def say(self, text: str) -> None:
        """One line, after the seconds since the start."""
        self._print(f"{time.monotonic() - self._started:5.1f} s  {text}")

    def show(self, text: str) -> None:
        """A table or another text of several lines, with an empty line before and after."""
        self._print(f"\n{text}\n")

    def _print(self, text: str) -> None:
        with self._turn:
            try:
                print(text, flush=True)
            except BrokenPipeError:  # nobody reads on (`make demo | head`): that ends the demo
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                self._interrupts.note(signal.SIGPIPE)
