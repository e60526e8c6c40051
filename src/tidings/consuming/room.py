"""Room: whether more is fetched, and which partitions are paused, by what is held of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tidings.consuming.client import Client
from tidings.consuming.holdings import Holdings
from tidings.consuming.places import Tenure

_PATIENCE = 1.0
"""Seconds without polling while a window is full, before a partition is paused: that drops its prefetch."""


class Room:
    """For the polling thread. ``must_poll`` says that something only comes by polling."""

    def __init__(self, client: Client, holdings: Holdings, must_poll: Callable[[], bool]) -> None:
        self._client = client
        self._holdings = holdings
        self._must_poll = must_poll
        self._full_since = 0.0

    def has_some(self) -> bool:
        """Whether to fetch. While a window is full, not at first; after a second its partition is paused."""
        full = self._holdings.full()
        pausing = [tenure for tenure in full if not tenure.is_paused]
        resuming = [it for it in self._holdings.tenures.values() if it.is_paused and it not in full]
        if resuming:
            self._pause(resuming, paused=False)
        if not pausing:
            self._full_since = 0.0
            return True
        now = time.monotonic()
        self._full_since = self._full_since or now
        if now - self._full_since < _PATIENCE and not self._must_poll():
            return False
        self._pause(pausing, paused=True)
        self._full_since = 0.0
        return True

    def _pause(self, tenures: Sequence[Tenure], *, paused: bool) -> None:
        places = [(tenure.place.topic, tenure.place.partition) for tenure in tenures]
        (self._client.pause if paused else self._client.resume)(places)
        for tenure in tenures:
            tenure.is_paused = paused
