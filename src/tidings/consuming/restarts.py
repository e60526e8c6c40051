"""When a consumer that failed is started again: after a random pause that grows. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

SHORTEST: Final = 1.0
LONGEST: Final = 60.0
"""Seconds: the bounds of a pause."""
HOLDS: Final = 60.0
"""Seconds of a life after which it counts as good: the next failure is a first one again."""


class Restarts:
    """The failures of one consumer. Times are seconds of any one clock; ``random()`` is from 0 to below 1.

    After the n-th failure in a row the pause is anything from 1 s to 2ⁿ s, and never above 60 s ("full
    jitter": AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self.count = 0
        """Lives after the first."""
        self.in_a_row = 0
        """Failures without a life between them that held."""
        self.due = 0.0
        """When the next life is to begin."""
        self._random = random
        self._began: float | None = None

    def begin(self, now: float) -> None:
        """A life begins, or at least it is tried."""
        self.count += self._began is not None
        self._began = now

    def fail(self, now: float) -> float:
        """The life that began last has failed; the seconds until the next."""
        self.in_a_row = self.in_a_row + 1 if self.is_fresh(now) else 1
        bound = min(LONGEST, 2.0 ** min(self.in_a_row, 10))
        pause = SHORTEST + self._random() * (bound - SHORTEST)
        self.due = now + pause
        return pause

    def is_fresh(self, now: float) -> bool:
        """True while the life that began last has not held yet."""
        return self._began is None or now - self._began < HOLDS
