"""Knowing an outage by its silence: events are out, and nothing is acknowledged."""

from __future__ import annotations

_TICK = 0.25


class Silence:
    """Seconds for which events were in flight and none was acknowledged. Pure: fed by the pump's tick.

    A tick adds at most two ticks' worth: a machine that was suspended is not an outage.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._delivered = 0
        self._last: float | None = None

    def tick(self, now: float, delivered: int, *, idle: bool) -> None:
        """``delivered`` is the counter so far; ``idle`` says that nothing is in flight."""
        passed = 0.0 if self._last is None else min(now - self._last, 2 * _TICK)
        self._last = now
        if idle or delivered != self._delivered:
            self.seconds = 0.0
        else:
            self.seconds += passed
        self._delivered = delivered
