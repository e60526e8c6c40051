"""A token bucket: so many events a second, and so many at once. Pure: the time is given to it."""

from __future__ import annotations

import math

_ROUNDING = 1e-6
"""Of a token: who has waited as long as he was told is let in."""


class TokenBucket:
    """``rate`` tokens come in every second, ``burst`` of them fit, and an event takes one."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._filled_at = -math.inf

    def take(self, now: float, share: float = 1.0) -> float:
        """Take a token, unless more than this ``share`` of the bucket is used up; 0.0 says that it was taken.

        Otherwise in how many seconds it could be, if nobody comes in between.
        """
        if now > self._filled_at:
            self._tokens = min(float(self.burst), self._tokens + (now - self._filled_at) * self.rate)
            self._filled_at = now
        missing = max(1.0, (1.0 - share) * self.burst) - self._tokens
        if missing > _ROUNDING:
            return missing / self.rate
        self._tokens -= 1.0
        return 0.0

    @property
    def is_empty(self) -> bool:
        """True when nobody could have taken a token at the last look."""
        return self._tokens < 1.0 - _ROUNDING
