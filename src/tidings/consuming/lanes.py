"""Lanes at work: which keys are handled apart from the others, and who is next. Pure but for the lock."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Iterable

from tidings.consuming.holdings import Holdings
from tidings.consuming.message import Record
from tidings.consuming.places import WHOLE, Chunk, Lane, LaneKey, Phase, Tenure, lane_key


class Lanes:
    """The lanes of all partitions that are ready, with a worker, or parked. The caller holds the lock."""

    def __init__(self, holdings: Holdings) -> None:
        self.ready: deque[Lane] = deque()
        self.running: set[Lane] = set()
        self.held: list[Lane] = []
        """Those whose handler is shut."""
        self._holdings = holdings
        self._parked: list[tuple[float, int, Lane]] = []
        self._order = itertools.count()

    def open(self, chunk: Chunk, record: Record, *, phase: Phase) -> Lane:
        """A new lane for the key of this record, which is its first."""
        key = lane_key(record)
        lane = chunk.tenure.place.lanes[key] = Lane(chunk.tenure.place, key, phase)
        self.append(lane, chunk, record)
        if phase is Phase.RUNNING:
            lane.since = time.monotonic()
            self.running.add(lane)
        return lane

    def append(self, lane: Lane, chunk: Chunk, record: Record) -> None:
        """A record that has to wait for those before it."""
        lane.queue.append((chunk, record))
        chunk.open.add(record.offset())

    def enqueue(self, chunk: Chunk) -> None:
        """Put a whole chunk into the one lane of its partition."""
        place = chunk.tenure.place
        lane = place.lanes.get(WHOLE)
        if lane is None:
            lane = place.lanes[WHOLE] = Lane(place, WHOLE, Phase.READY)
            self.ready.append(lane)
        lane.queue.append((chunk, chunk.records[0]))

    def spread(self, chunk: Chunk, records: Iterable[Record]) -> None:
        """Put each record into the lane of its key."""
        lanes = chunk.tenure.place.lanes
        for record in records:
            lane = lanes.get(lane_key(record))
            if lane is None:
                self.ready.append(self.open(chunk, record, phase=Phase.READY))
            else:
                self.append(lane, chunk, record)

    def begin(self) -> Lane | None:
        """The next lane to be run; its worker is the caller."""
        while self.ready:
            lane = self.ready.popleft()
            if self.drop_what_left(lane):
                lane.phase = Phase.RUNNING
                lane.since = time.monotonic()
                self.running.add(lane)
                return lane
        return None

    def shift(self, lane: Lane, *, finished: bool) -> bool:
        """The worker is done with the first record; True while the lane has another one for it.

        Not ``finished``: what came of the record is still on its way.
        """
        chunk, record = lane.queue.popleft()
        lane.attempt, lane.first_ms, lane.timeout, lane.course = 1, 0, None, None
        if finished:
            chunk.open.discard(record.offset())
        self._holdings.settle(chunk)
        if self.drop_what_left(lane):
            lane.since = time.monotonic()
            return True
        self.running.discard(lane)
        return False

    def put_back(self, lane: Lane) -> None:
        """Its worker leaves it; somebody else goes on."""
        self.running.discard(lane)
        if self.drop_what_left(lane):
            lane.phase = Phase.READY
            self.ready.append(lane)

    def park(self, lane: Lane, seconds: float) -> None:
        """Its first record is tried again in so many seconds."""
        self.running.discard(lane)
        if self.drop_what_left(lane):
            lane.phase = Phase.PARKED
            heapq.heappush(self._parked, (time.monotonic() + seconds, next(self._order), lane))
        self._holdings.bell.ring()

    def hold(self, lane: Lane, route: object) -> None:
        """Its first record waits until its handler may be called again."""
        self.running.discard(lane)
        lane.is_probe, lane.held_for = False, route
        if self.drop_what_left(lane):
            lane.phase = Phase.PARKED
            self.held.append(lane)
        self._holdings.bell.ring()

    def probe(self, route: object) -> bool:
        """Let a lane call this handler that waits for it; False where none does.

        One whose event was never tried goes first: five keys of poison are no outage, and it may tell.
        """
        held = [lane for lane in self.held if lane.held_for is route]
        lane = min(held, key=lambda lane: lane.attempt > 1, default=None)
        if lane is None:
            return False
        self.held.remove(lane)
        lane.is_probe = True
        lane.phase = Phase.READY
        self.ready.append(lane)
        return True

    def release(self) -> int:
        """Nothing is held any more; how many lanes were."""
        held, self.held = self.held, []
        for lane in held:
            lane.phase = Phase.READY
            self.ready.append(lane)
        return len(held)

    @property
    def next_due(self) -> float | None:
        """When the next parked lane is due, by the monotonic clock."""
        return self._parked[0][0] if self._parked else None

    def wake_due(self, now: float) -> int:
        """Make the lanes ready that are due; how many."""
        woken = 0
        while self._parked and self._parked[0][0] <= now:
            lane = heapq.heappop(self._parked)[2]
            lane.phase = Phase.READY
            self.ready.append(lane)
            woken += 1
        return woken

    def let_go(self) -> None:
        """Forget what waits of tenures that leave; back-off sleeps end."""
        for lane in (*self.ready, *self.held, *(lane for _, _, lane in self._parked)):
            self.drop_what_left(lane)
        self.held = [lane for lane in self.held if lane.queue]
        self.ready = deque(lane for lane in self.ready if lane.queue)
        parked, self._parked = self._parked, []
        for due, order, lane in parked:
            if lane.queue:  # what is first in it now has not been tried
                fresh = lane.attempt == 1
                heapq.heappush(self._parked, (0.0 if fresh else due, order, lane))

    def is_running(self, tenures: Iterable[Tenure]) -> bool:
        """True while a handler has a record of one of these."""
        wanted = set(tenures)
        return any(lane.queue[0][0].tenure in wanted for lane in self.running if lane.queue)

    def drop_what_left(self, lane: Lane) -> bool:
        """Drop the records that are not to be begun any more; True while the lane has others."""
        queue = lane.queue
        while queue and queue[0][0].tenure.is_leaving:
            queue.popleft()
            lane.attempt, lane.first_ms, lane.course = 1, 0, None
        if queue:
            return True
        lanes: dict[LaneKey, Lane] = lane.place.lanes
        if lanes.get(lane.key) is lane:
            del lanes[lane.key]
        return False
