"""Handlers that hang: health fails, and at last the process ends: no thread can be stopped (ENGINE C6)."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable
from typing import Final

from tidings.consuming.message import Record, place_of
from tidings.consuming.places import Lane
from tidings.consuming.reading import Reading

EXIT_STATUS: Final = 70
"""EX_SOFTWARE of sysexits.h."""
NO_STOP: Final = (
    "Its thread cannot be stopped: the event is neither tried again nor given up while it runs, and other "
    "keys go on. Give what it calls a timeout."
)


class Hangs:
    """Looks at what sync handlers have in hand. On the watcher's thread; ``words`` on any."""

    def __init__(self, reading: Reading, hang_exit: float, logger: logging.Logger) -> None:
        self.words = ""
        """What hangs, for health; empty as a rule."""
        self._reading = reading
        self._hang_exit = hang_exit
        self._logger = logger
        self._least = min((route.handler.timeout for route in reading.routes), default=0.0)
        self._said: set[Lane] = set()

    def look(self, running: Iterable[tuple[Lane, Record]], now: float) -> None:
        """Say what hangs; end the process where a handler has hung for HANG_EXIT."""
        hanging: dict[Lane, str] = {}
        for lane, record in running:
            age = now - lane.since
            if age < self._least:
                continue
            timeout = lane.timeout = self._timeout(lane, record)
            if age < timeout:
                continue
            hanging[lane] = (
                f"a handler has had {place_of(record)} for {age:.1f} s, and may take {timeout:g} s"
            )
            if lane not in self._said:
                self._logger.error(f"{hanging[lane]}. {NO_STOP}")
            if self._hang_exit and age >= timeout + self._hang_exit:
                end_process(hanging[lane], self._logger)
        self._said = set(hanging)
        self.words = "; ".join(hanging.values())

    def _timeout(self, lane: Lane, record: Record) -> float:
        """Its leader had no time to write down which handler it called: read the record once more."""
        if lane.timeout is not None:
            return lane.timeout
        with contextlib.suppress(Exception):
            if (call := self._reading.read(record)) is not None:
                return call[0].handler.timeout
        return self._least


def end_process(words: str, logger: logging.Logger) -> None:
    """End the process where it stands, because of what ``words`` say."""
    logger.critical(f"{words}: the process ends (HANG_EXIT), so that its events go to another member.")
    logging.shutdown()
    os._exit(EXIT_STATUS)
