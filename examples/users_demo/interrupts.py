"""Ctrl-C and its kin: noticed at once, acted on between two steps, so that nothing is left half started."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The demo was told to end. ``status`` is what a shell expects of a program that a signal ended."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


class Interrupts:
    """Remembers the first signal; ``check`` and ``sleep`` raise it.

    An exception out of a signal handler could surface between starting a process and writing down that it
    was started. So the handler only takes a note.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._at_once = False
        for number in SIGNALS:
            signal.signal(number, lambda number, _: self.note(number))

    def check(self) -> None:
        """Raise Interrupted if a signal came."""
        if self._number is not None:
            raise Interrupted(self._number)

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise Interrupted."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, 0.05))
        self.check()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """In here the signal itself raises: for a long step that cleans up after itself."""
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def note(self, number: int) -> None:
        """Let the next check() raise."""
        if self._number is None:
            self._number = number
            with suppress(OSError):  # nobody may be listening any more
                os.write(2, b"\nEnding everything that was started ...\n")
        if self._at_once:
            self._at_once = False
            self.check()
