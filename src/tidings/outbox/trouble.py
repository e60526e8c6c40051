"""Trouble: what keeps a relay from its work, said once and then less and less, and how long it is borne."""

from __future__ import annotations

import logging
import random
import time

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0
_LONGEST_WORDS = 300


class Trouble:
    """One thread, the relay's; ``words`` may be read by others."""

    def __init__(self, logger: logging.Logger, database_errors: tuple[type[Exception], ...]) -> None:
        self.words = ""
        """Why nothing can be done at the moment; empty as a rule."""
        self._logger = logger
        self._database_errors = database_errors
        self._failures = 0
        self._patience = float("inf")
        self._moved = time.monotonic()

    def bear(self, patience: float) -> None:
        """From now on it is unbearable when no row moves for so many seconds; without this it never is."""
        self._patience = patience
        self.moved()

    def moved(self) -> None:
        """Rows were taken, or it was learned what became of some."""
        self._moved = time.monotonic()

    def is_unbearable(self, under_way: int) -> bool:
        """Whether no row has moved for too long; ``words`` then say why."""
        if time.monotonic() < self._moved + self._patience:
            return False
        self.words = self.words or f"Kafka has taken none of the {under_way} row(s) under way"
        return True

    def record(self, error: Exception) -> float:
        """The work failed once more; how many seconds to let pass."""
        self._failures += 1
        is_database = isinstance(error, self._database_errors)
        words = (str(getattr(error, "orig", None) or error).splitlines() or [""])[0][:_LONGEST_WORDS]
        self.words = f"{type(error).__name__}: {words}"
        if self._failures & (self._failures - 1) == 0:  # the first time, the second, the fourth …
            self._logger.log(
                logging.WARNING if is_database else logging.ERROR,
                f"The outbox cannot be worked on ({self._failures} times in a row), and its rows wait: "
                f"{self.words}",
                exc_info=not is_database,
            )
        most = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures, 32))
        return random.random() * most  # noqa: S311 - jitter

    def relieve(self) -> None:
        """The work went well."""
        if self.words:
            self.words, self._failures = "", 0
            self._logger.info("The outbox is worked on again.")
