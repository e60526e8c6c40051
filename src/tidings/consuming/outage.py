"""Poison or outage: does a handler fail because of its events, or of what is behind it? (ENGINE C10)"""

from __future__ import annotations

from collections import deque
from typing import Final

from tidings.consuming.places import LaneKey

_FAILURES: Final = 10
_KEYS: Final = 5
_WITHIN: Final = 60.0
_FIRST: Final = 1.0
PROBE_LIMIT: Final = 300.0
"""The longest pause between two probes, and the longest that one may take."""


class Outage:
    """What is known of one handler's failures. Pure: times are given, in seconds; the caller serialises.

    It is an outage when ten attempts with events of five keys failed in the same way within a minute, and
    none succeeded since the first of them.
    """

    def __init__(self) -> None:
        self.probe_at = float("inf")
        """When one event is to be tried; never, while there is no outage."""
        self._failures: deque[tuple[float, LaneKey, str]] = deque(maxlen=1000)
        self._successes = -1
        self._pause = _FIRST

    def failed(self, now: float, key: LaneKey, fingerprint: str, successes: int) -> None:
        """An attempt failed; ``successes`` is how many have succeeded so far."""
        if successes != self._successes:
            self._successes = successes
            self._failures.clear()
        self._failures.append((now, key, fingerprint))

    def is_on(self, now: float, fingerprint: str, successes: int) -> bool:
        """Asked when an event has used up its attempts: is it an outage?"""
        if successes != self._successes:
            return False
        alike = [key for at, key, what in self._failures if what == fingerprint and now - at <= _WITHIN]
        return len(alike) >= _FAILURES and len(set(alike)) >= _KEYS

    def begin(self, now: float) -> None:
        """It is one: try an event soon."""
        self._pause = _FIRST
        self.probe_at = now + self._pause

    def probed_in_vain(self, now: float) -> None:
        """It still is one: try later, after five minutes at most."""
        self._pause = min(PROBE_LIMIT, 2 * self._pause)
        self.probe_at = now + self._pause

    def probe_again(self, now: float) -> None:
        """The event that was tried may be gone: do not wait for what came of it."""
        self.probe_at = min(self.probe_at, now + self._pause)

    def end(self) -> None:
        """It is over."""
        self.probe_at = float("inf")
        self._failures.clear()
