"""The leader of a relay: what it has in hand, and how the rest is taken from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from tidings.consuming.holdings import Holdings
from tidings.consuming.lanes import Lanes
from tidings.consuming.message import Record
from tidings.consuming.places import Chunk, Lane, LaneKey, Phase, lane_key


class Leader:
    """Which thread leads, and through which chunk. ``wake`` has a number of workers look for something to do.

    A leader claims a record by next() on the chunk's iterator. Whose iterator is not ``claim`` any more has
    been relieved: what it has in hand is in a lane by then.
    """

    def __init__(
        self,
        holdings: Holdings,
        lanes: Lanes,
        inbox: deque[Chunk],
        wake: Callable[[int], None],
        workers: int,
    ) -> None:
        self.claim: Iterator[Record] | None = None
        """The leader's iterator; None where nobody leads."""
        self.spread_until = 0.0
        """Until then chunks are spread over all workers; 0 as a rule."""
        self._holdings = holdings
        self._lock = holdings.lock
        self._lanes = lanes
        self._inbox = inbox
        self._wake = wake
        self._most = workers
        self._leading: Chunk | None = None
        self._relieved: dict[Iterator[Record], Lane | None] = {}
        """The iterators of former leaders, with the lane of what each has in hand."""

    # -- the lock is held

    @property
    def is_leaving(self) -> bool:
        """True while somebody leads through a chunk of a partition that leaves."""
        return self._leading is not None and self._leading.tenure.is_leaving

    def end_spread(self, now: float) -> None:
        """Let one leader try again, when it is time."""
        if self.spread_until and now > self.spread_until:
            self.spread_until = 0.0

    def resign(self, chunk: Chunk, claim: Iterator[Record]) -> Lane | None:
        """A leader is through; the lane of its last record, where it was relieved before."""
        if self.claim is not claim:
            return self._relieved.pop(claim)
        self.claim = self._leading = None
        chunk.begun = chunk.end
        self._holdings.settle(chunk)
        return None

    def appoint(self) -> Chunk | None:
        """The chunk that the caller is to go through; None where there is none, or another leads."""
        while self._inbox and self.claim is None:
            chunk = self._inbox.popleft()
            if chunk.tenure.is_leaving:
                continue
            if self.spread_until:
                self._spread(chunk)
                continue
            self._leading, self.claim = chunk, chunk.rest
            return chunk
        return None

    def _spread(self, chunk: Chunk) -> None:
        chunk_rest, chunk.begun = list(chunk.rest), chunk.end
        self._lanes.spread(chunk, chunk_rest)
        self._wake(min(len(self._lanes.ready), self._most))

    def relieve(self) -> None:
        """Take from the leader what it has not begun; what it has in hand stays its own."""
        chunk, claim = self._leading, self.claim
        assert chunk is not None  # noqa: S101 - there is a leader
        assert claim is not None  # noqa: S101
        rest = list(claim)  # one step under the GIL: the leader's next() finds nothing
        self.claim = self._leading = None
        self._relieved[claim] = self._in_hand(chunk, len(rest))
        chunk.begun = rest[0].offset() if rest else chunk.end
        if chunk.tenure.is_leaving or not rest:
            if self._inbox:
                self._wake(1)
            return
        chunk.rest = iter(rest)
        if self.spread_until:
            self._spread(chunk)
        else:
            self._inbox.appendleft(chunk)
            self._wake(1)

    def _in_hand(self, chunk: Chunk, left: int) -> Lane | None:
        """The lane of the record that the leader has in hand now; None if that is in a lane already."""
        number = len(chunk.records) - left - 1
        if number < 0 or chunk.records[number].offset() < chunk.begun:
            return None  # it had not begun with what it was given
        record = chunk.records[number]
        if record.offset() == chunk.aside:
            return None
        lane = chunk.tenure.place.lanes.get(lane_key(record))
        if lane is None:
            return self._lanes.open(chunk, record, phase=Phase.RUNNING)
        self._lanes.append(lane, chunk, record)  # where its leader is about to put it
        return None

    # -- on the leader's thread, without the lock

    def put_aside(self, chunk: Chunk, claim: Iterator[Record], record: Record, key: LaneKey | None) -> bool:
        """Have the record wait in the lane of its key, if that is still there."""
        with self._lock:
            if self.claim is not claim:  # relieved just now: the watcher has put it there, or left it to us
                return self._relieved[claim] is None
            lane = chunk.tenure.place.lanes.get(key)  # type: ignore[arg-type]
            if lane is None:
                return False
            self._lanes.append(lane, chunk, record)
            chunk.aside = record.offset()
            return True

    def lane_in_hand(self, chunk: Chunk, claim: Iterator[Record], record: Record) -> Lane:
        """The lane of the record that its leader has in hand, and that waits aside from now on."""
        with self._lock:
            if self.claim is claim:
                chunk.aside = record.offset()
                return self._lanes.open(chunk, record, phase=Phase.RUNNING)
            lane = self._relieved[claim]
            self._relieved[claim] = None
        assert lane is not None  # noqa: S101 - a leader that is in a handler has one
        return lane

    def suspend_in_hand(self, chunk: Chunk, claim: Iterator[Record], record: Record) -> None:
        """The record that its leader has in hand is handled, but its outputs are still on their way."""
        self._holdings.suspend(chunk, record.offset())
        with self._lock:
            if self.claim is claim:
                chunk.aside = record.offset()
                return
            lane = self._relieved[claim]
            self._relieved[claim] = None
            if lane is not None and self._lanes.shift(lane, finished=False):
                self._lanes.put_back(lane)
                self._wake(1)
