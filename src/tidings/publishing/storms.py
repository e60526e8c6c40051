"""Logging what may come in thousands: the first by name, the rest as a count."""

from __future__ import annotations

import logging
from typing import Any

from tidings.publishing.threads import native_rlock
from tidings.publishing.voice import Voice

_NAMED = 20
_WINDOW = 10.0


class Storm:
    """Logs one kind of occurrence: the first 20 of every ten seconds one by one, the rest counted.

    Any thread; ``tick`` every now and then.
    """

    def __init__(self, voice: Voice | logging.Logger, level: int, kind: str) -> None:
        self._voice = voice
        self._level = level
        self._kind = kind
        self._lock = native_rlock()
        self._named = 0
        self._unnamed = 0
        self._window_ends = 0.0

    def record(self, line: str, *, raised: BaseException | None = None, **fields: Any) -> None:
        """One more of them. If it is named, its record has these fields, and the traceback of ``raised``."""
        with self._lock:
            named = self._named < _NAMED
            self._named += named
            self._unnamed += not named
        if named:
            self._log(line, raised, fields)

    def tick(self, now: float) -> None:
        """Say what has not been said, once the window is over."""
        if now >= self._window_ends:
            self._window_ends = now + _WINDOW
            self.flush()

    def flush(self) -> None:
        """Say what has not been said."""
        with self._lock:
            unnamed, self._unnamed, self._named = self._unnamed, 0, 0
        if unnamed:
            self._log(f"{unnamed} more, not named one by one", None, {"count": unnamed})

    def _log(self, line: str, raised: BaseException | None, fields: dict[str, object]) -> None:
        traceback: dict[str, Any] = {} if raised is None else {"exc_info": raised}
        self._voice.log(self._level, f"{self._kind}: {line}", extra=fields, **traceback)
