"""What both relays have: the lanes, and what is done when a call has succeeded or failed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Any

from tidings.consuming.course import Course, Step
from tidings.consuming.dedup import Elsewhere
from tidings.consuming.fate import Fate
from tidings.consuming.holdings import Holdings
from tidings.consuming.lanes import Lanes
from tidings.consuming.places import Chunk, Lane
from tidings.consuming.reading import Reading, Route, Shut
from tidings.consuming.retries import Again, Decision, GiveUp, Hold, Wait


class Workbench(ABC):
    """The part of a relay that does not depend on what its workers are."""

    def __init__(self, holdings: Holdings, reading: Reading, fate: Fate, workers: int) -> None:
        self._holdings = holdings
        self._lock = holdings.lock
        self._read = reading.read
        self._read_alike = reading.read_alike
        self._in_batches = reading.has_batches
        self._fate = fate
        self._tally = fate.tally
        self._most = workers
        self._lanes = Lanes(holdings)
        self._inbox: deque[Chunk] = deque()
        self._stopping = False

    @abstractmethod
    def _wake_one(self) -> None:
        """Have a worker look for something to do."""

    @abstractmethod
    def _wake_soon(self) -> None:
        """The same, from any thread."""

    @abstractmethod
    def _due_in(self, seconds: float) -> None:
        """A lane is due in so many seconds."""

    @property
    @abstractmethod
    def _is_leading(self) -> bool:
        """True while a worker goes through a chunk. The lock is held."""

    def is_idle(self) -> bool:
        """True while no handler has anything, and nothing waits for one but for a later attempt."""
        with self._lock:
            return not (self._is_leading or self._inbox or self._lanes.ready or self._lanes.running)

    def _drop_what_leaves(self) -> None:
        """Forget what is not begun of tenures that leave. The lock is held."""
        kept = [chunk for chunk in self._inbox if not chunk.tenure.is_leaving]
        self._inbox.clear()
        self._inbox.extend(kept)
        self._lanes.let_go()

    def _failed(self, lane: Lane, route: Route | None, argument: Any, error: BaseException) -> None:
        """The handler failed with the first record of a lane: park it, or give it up. Its worker goes."""
        decision = self._fate.failed(lane, route, argument, error)
        if not isinstance(decision, GiveUp):
            self._park(lane, route, decision)
            return
        with self._lock:
            if not self._lanes.shift(lane, finished=False):
                return
            self._lanes.put_back(lane)
        self._wake_one()

    def _goes_on(self, lane: Lane, course: Course, step: Step, error: BaseException) -> bool:
        """A call failed: True if its worker goes on with what is next, and False if the lane waits.

        A batch is taken one by one then, but for a probe: what is behind the handler is still away."""
        if not isinstance(error, Shut | Elsewhere) and not lane.is_probe and course.split(step):
            self._fate.batch_failed(step, error)
            return True
        lane.queue[0] = (lane.queue[0][0], step.records[0])
        decision = self._fate.failed(lane, step.route, step.argument, error)
        if isinstance(decision, GiveUp):
            self._over(lane, course, step)
            return True
        course.put_back()
        self._park(lane, step.route, decision)
        return False

    def _park(self, lane: Lane, route: Route | None, decision: Decision) -> None:
        """Have its first record wait: for its next attempt, or its handler; or, to stop, for ever."""
        after = decision.after if isinstance(decision, Again | Wait) else None
        with self._lock:
            if isinstance(decision, Again):
                lane.attempt += 1
                self._tally.retried += 1
            if isinstance(decision, Hold):
                self._lanes.hold(lane, route)
            else:
                self._lanes.park(lane, float("inf") if after is None else after)
        if after is not None:
            self._due_in(after)

    def probe(self, route: Route) -> None:
        """Let one of the events try that wait for this handler. On the polling thread."""
        with self._lock:
            found = self._lanes.probe(route)
        if found:
            self._wake_soon()
        else:  # none of them is ours any more: the next one that comes tells
            self._release(route)

    def _recovered(self, lane: Lane, route: Route) -> None:
        """A probe succeeded: its handler may be called again."""
        lane.is_probe = False
        self._release(route)

    def _release(self, route: Route) -> None:
        self._fate.recovered(route)
        with self._lock:
            released = self._lanes.release()
        for _ in range(min(released, self._most)):
            self._wake_soon()

    def _over(self, lane: Lane, course: Course, step: Step) -> None:
        """The records of a call are handled, given up or skipped."""
        with self._lock:
            lane.attempt, lane.first_ms = 1, 0
            self._tally.skipped += step.skipped
            course.done(step)

    def _succeeded(self, lane: Lane, chunk: Chunk, step: Step, outputs: list[Any]) -> None:
        """A call returned."""
        if step.route is None:
            return
        if lane.is_probe:
            self._recovered(lane, step.route)
        step.route.successes += 1
        with self._lock:
            self._tally.handled += len(step.records)
        if outputs:
            for record in step.records:
                self._holdings.suspend(chunk, record.offset())
            self._fate.await_outputs(chunk, step.records, step.route, outputs)
