"""What handlers raise, in the log: of each handler the first failure in full, those like it as a count."""

from __future__ import annotations

import logging
import time
from typing import Any

from tidings.consuming.handlers import Handler
from tidings.publishing.storms import Storm
from tidings.publishing.threads import native_lock


class Failing:
    """A storm for each handler: one that always fails does not hide another's first failure. Any thread."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._storms: dict[str, Storm] = {}
        self._lock = native_lock()

    def record(self, handler: Handler, line: str, **fields: Any) -> None:
        """This handler failed once more."""
        with self._lock:
            storm = self._storms.get(handler.name)
            if storm is None:
                storm = Storm(self._logger, logging.WARNING, handler.name)
                storm.tick(time.monotonic())  # its ten seconds begin now
                self._storms[handler.name] = storm
        storm.record(line, **fields)

    def tick(self, now: float) -> None:
        """Say what has not been said, now and then. On the polling thread."""
        for storm in list(self._storms.values()):
            storm.tick(now)

    def flush(self) -> None:
        """Say what has not been said."""
        for storm in list(self._storms.values()):
            storm.flush()
