"""Complaints: a repeated failure is logged once, then as a count, and counted."""

from __future__ import annotations

import logging
import time

from tidings.errors import TidingsError
from tidings.publishing.plain import plain
from tidings.publishing.threads import native_lock

_EVERY = 60.0
_LONGEST = 500


class Complaint:
    """One kind of failure. The first is logged with its reason; while they go on, a count once a minute.

    Its end is logged at most once a minute too: failures that come and go make two lines a minute.
    ``count`` is how many there were. Any thread.
    """

    def __init__(self, logger: logging.Logger, what: str, level: int = logging.ERROR) -> None:
        self._logger = logger
        self._what = what
        self._level = level
        self._lock = native_lock()
        self._unsaid = 0
        self._next = 0.0
        self._next_end = 0.0
        self._is_open = False
        self.count = 0

    def record(self, error: BaseException | str) -> None:
        """It failed once more."""
        now = time.monotonic()
        with self._lock:
            self.count += 1
            says, number = now >= self._next, self._unsaid + 1
            self._unsaid = 0 if says else number
            self._next = now + _EVERY if says else self._next
            self._is_open = True
        if says:
            more = "" if number == 1 else f"; {number} times since it was last said"
            self._log(self._level, f"{self._what}: {reason(error)}{more}", error)

    def relieve(self) -> None:
        """It went well: say so, and how often it had failed unsaid."""
        if not self._is_open:
            return
        now = time.monotonic()
        with self._lock:
            if not self._is_open or now < self._next_end:
                return
            self._is_open, self._next_end = False, now + _EVERY
            unsaid, self._unsaid = self._unsaid, 0
        self._log(logging.INFO, f"{self._what}: no longer; {unsaid} more times since it was last said", "")

    def _log(self, level: int, line: str, error: BaseException | str) -> None:
        extra = {"component": "kafka", "error": reason(error), "failures": self.count}
        try:
            self._logger.log(level, "%s", line, extra=extra)
        except Exception as fault:  # of a user's filter or handler: no reason to fail a second time
            said = f"the logger raised {type(fault).__qualname__} for: {line}"
            if logging.lastResort is not None:
                logging.lastResort.handle(logging.makeLogRecord({"msg": said, "levelno": logging.ERROR}))


def reason(error: BaseException | str) -> str:
    """An error on one line: tidings' own with their message, which shows no secret, others by their class."""
    if isinstance(error, TidingsError):
        return plain(str(error), _LONGEST)
    if isinstance(error, OSError):
        return plain(f"{type(error).__qualname__}: {error.strerror}", _LONGEST)
    return plain(error, _LONGEST) if isinstance(error, str) else type(error).__qualname__
