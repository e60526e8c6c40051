"""The watcher of a relay: sees every 5 ms whether the leader moves, and takes the rest from it if not."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from tidings.consuming.bell import Bell
from tidings.consuming.hangs import Hangs
from tidings.consuming.holdings import Holdings
from tidings.consuming.lanes import Lanes
from tidings.consuming.leader import Leader
from tidings.consuming.places import Chunk

_TICK = 0.005
_SLOW = 25
"""Fewer records than this in a tick are slow: 0.2 ms each."""
_SLOW_TICKS = 3
_LOOK = 0.5
"""Seconds between two looks for handlers that hang."""
_LONGEST_NAP = 60.0
_SPREAD = 1.0
"""Seconds until a chunk is run by one leader again."""


class Watcher:
    """Relieves a leader that is stuck, has the chunks of a slow one spread, and wakes lanes that are due.

    ``watch`` is its thread's work. It sleeps while there is nothing to watch, until it is told.
    """

    def __init__(
        self,
        holdings: Holdings,
        lanes: Lanes,
        leader: Leader,
        inbox: deque[Chunk],
        wake: Callable[[int], None],
        hangs: Hangs,
    ) -> None:
        self._lock = holdings.lock
        self._lanes = lanes
        self._leader = leader
        self._inbox = inbox
        self._wake = wake
        self._hangs = hangs
        self._bell = Bell()
        self._is_resting = False
        self._is_over = False
        self._looked = 0.0

    def tell(self) -> None:
        """There is something to watch. Any thread; quick while it watches already."""
        if self._is_resting:
            self._bell.ring()

    def end(self) -> None:
        """Have ``watch`` return."""
        self._is_over = True
        self._bell.ring()

    def watch(self) -> None:
        """Until the end."""
        claim: object = None
        before = slow = 0
        while not self._is_over:
            self._bell.wait(self._nap())
            now = time.monotonic()
            self._look_for_hangs(now)
            with self._lock:
                self._wake(self._lanes.wake_due(now))
                leader = self._leader
                leader.end_spread(now)
                if leader.claim is None:
                    if self._inbox or self._lanes.ready:
                        self._wake(1)
                    claim = None
                    continue
                left = leader.claim.__length_hint__()  # type: ignore[attr-defined]
                if claim is leader.claim:
                    moved = before - left
                    slow = slow + 1 if moved < _SLOW and left else 0
                    if slow >= _SLOW_TICKS:
                        leader.spread_until, slow = now + _SPREAD, 0
                        leader.relieve()
                    elif not moved:
                        leader.relieve()
                claim, before = leader.claim, left

    def _look_for_hangs(self, now: float) -> None:
        if now - self._looked < _LOOK:
            return
        self._looked = now
        with self._lock:
            running = [(it, it.queue[0][1]) for it in self._lanes.running if it.queue]
        self._hangs.look(running, now)

    def _nap(self) -> float | None:
        """How long to sleep; None until told."""
        with self._lock:
            due = self._lanes.next_due
            self._is_resting = self._leader.claim is None and not self._inbox
            if not self._is_resting or self._leader.spread_until:
                return _TICK
            longest = _LOOK if self._lanes.running else None
        if due is None:
            return longest
        return min(max(due - time.monotonic(), 0.0), longest or _LONGEST_NAP)
