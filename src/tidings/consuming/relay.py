"""The relay: sync handlers on threads. One leader runs what was fetched, and is relieved when it gets stuck.

While handlers are quick, one thread handles record after record of a chunk, in order, with nothing between
two of them. A watcher looks every 5 ms: a leader that has not moved keeps its record and the key, and the
rest of the chunk goes to the next worker. A leader that moves slowly all the time has its chunks spread over
all workers, key by key, until it is tried again a second later. A key whose handler failed waits aside.
658k events a second to 624k of a bare loop, where lanes by hash of the key had 273k (measured).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any

from tidings.consuming.course import Course
from tidings.consuming.fate import Fate
from tidings.consuming.hangs import Hangs
from tidings.consuming.holdings import Holdings
from tidings.consuming.leader import Leader
from tidings.consuming.places import Chunk, Lane, Tenure
from tidings.consuming.reading import Reading, Shut
from tidings.consuming.watcher import Watcher
from tidings.consuming.workbench import Workbench
from tidings.events.correlation import set_correlation_id
from tidings.publishing.outputs import collect_outputs
from tidings.publishing.threads import NativeThread, native_lock


class Relay(Workbench):
    """Runs handlers on up to ``workers`` threads, which start when they are needed."""

    def __init__(
        self, holdings: Holdings, reading: Reading, fate: Fate, workers: int, hang_exit: float
    ) -> None:
        super().__init__(holdings, reading, fate, workers)
        self._leader = Leader(holdings, self._lanes, self._inbox, self._wake, workers)
        self._idle: list[Any] = []
        self._threads: list[NativeThread] = []
        self._hangs = Hangs(reading, hang_exit, fate.logger)
        self._watcher = Watcher(holdings, self._lanes, self._leader, self._inbox, self._wake, self._hangs)
        self._watching = self._thread(self._watcher.watch, "tidings-watch")

    # -- for the polling thread

    def start(self) -> None:
        """Start the watcher. Raises RuntimeError when no thread can be made."""
        self._watching.start()

    def give(self, chunks: Iterable[Chunk]) -> None:
        """Have these handled."""
        with self._lock:
            if self._in_batches:
                for chunk in chunks:
                    self._lanes.enqueue(chunk)
                self._wake(len(self._lanes.ready))
                return
            self._inbox.extend(chunks)
            if self._leader.claim is None and len(self._lanes.ready) < self._most:
                self._wake()
        self._watcher.tell()

    def let_go(self) -> None:
        """Begin nothing more of tenures that leave."""
        with self._lock:
            if self._leader.is_leaving:
                self._leader.relieve()
            self._drop_what_leaves()
        self._watcher.tell()

    def is_running(self, tenures: Iterable[Tenure]) -> bool:
        """True while a handler has a record of one of these, which leave."""
        with self._lock:
            return self._lanes.is_running(tenures)

    def hanging(self) -> str:
        """What handlers have had in hand for longer than they may; empty as a rule."""
        return self._hangs.words

    def is_own_thread(self) -> bool:
        """True on a worker: in a handler."""
        return any(thread.is_current for thread in self._threads)

    def is_in_handler(self) -> bool:
        """True for a coroutine that a handler runs."""
        return self.is_own_thread()

    def stop(self, timeout: float) -> None:
        """Have the threads end, those in handlers after them; wait for up to ``timeout`` seconds."""
        end = time.monotonic() + timeout
        with self._lock:
            self._stopping = True
            for waiting in self._idle:
                waiting.release()
            self._idle.clear()
        self._watcher.end()
        for thread in (self._watching, *self._threads):
            thread.join(max(0.0, end - time.monotonic()))

    @property
    def _is_leading(self) -> bool:
        return self._leader.claim is not None

    # -- workers

    def _wake(self, count: int = 1) -> None:
        """Have ``count`` workers look for something to do; the lock is held."""
        for _ in range(count):
            if self._idle:
                self._idle.pop().release()
            elif len(self._threads) < self._most and not self._stopping:
                thread = self._thread(self._work, f"tidings-worker-{len(self._threads) + 1}")
                thread.start()
                self._threads.append(thread)
            else:
                return

    def _thread(self, target: Callable[[], None], name: str) -> NativeThread:
        def run() -> None:
            try:
                target()
            except BaseException as error:
                self._fate.stumbled(error)

        return NativeThread(run, name)

    def _work(self) -> None:
        rest = native_lock()
        rest.acquire()
        outputs = collect_outputs()
        while True:
            chunk = None
            with self._lock:
                if self._stopping:
                    return
                lane = self._lanes.begin()
                if lane is None:
                    chunk = self._leader.appoint()
                if lane is None and chunk is None:
                    lane = self._lanes.begin()  # spreading a chunk makes lanes
                if lane is None and chunk is None:
                    self._idle.append(rest)
            if chunk is not None:
                self._go_through(chunk, outputs)
            elif lane is not None:
                (self._run_batches if self._in_batches else self._run)(lane, outputs)
            else:
                rest.acquire()

    def _go_through(self, chunk: Chunk, outputs: list[Any]) -> None:
        """Handle record after record, until the chunk ends or is taken away."""
        claim, lanes, read = chunk.rest, chunk.tenure.place.lanes, self._read
        set_id, context, put_aside = set_correlation_id, copy_context, self._leader.put_aside
        handled = skipped = 0
        for record in claim:
            if lanes and (key := record.key()) in lanes and put_aside(chunk, claim, record, key):
                continue
            route = argument = None
            try:
                if (call := read(record)) is None:
                    skipped += 1
                    continue
                route, argument, correlation_id = call
                if route.is_shut:
                    raise Shut
                set_id(correlation_id)
                context().run(route.fn, argument)
            except BaseException as error:  # a SystemExit too: what ends is the handler, not the worker
                self._failed(self._leader.lane_in_hand(chunk, claim, record), route, argument, error)
                outputs.clear()
            else:
                route.successes += 1
                handled += 1
                if outputs:
                    self._leader.suspend_in_hand(chunk, claim, record)
                    self._fate.await_outputs(chunk, [record], route, outputs)
        with self._lock:
            self._tally.handled += handled
            self._tally.skipped += skipped
            lane = self._leader.resign(chunk, claim)
            goes_on = lane is not None and self._lanes.shift(lane, finished=True)
        if lane is not None and goes_on:
            self._run(lane, outputs)

    def _run(self, lane: Lane, outputs: list[Any]) -> None:
        """Handle the records of a lane, until it is empty or one of them fails."""
        while True:
            chunk, record = lane.queue[0]
            route = argument = None
            is_skipped = is_suspended = False
            try:
                call = self._read(record, lane.attempt)
                if call is None:
                    is_skipped = True
                else:
                    route, argument, correlation_id = call
                    if route.is_shut and not lane.is_probe:
                        raise Shut
                    lane.timeout = route.handler.timeout
                    set_correlation_id(correlation_id)
                    copy_context().run(route.fn, argument)
            except BaseException as error:
                outputs.clear()
                self._failed(lane, route, argument, error)
                return
            if route is not None:
                route.successes += 1
                if lane.is_probe:
                    self._recovered(lane, route)
                if outputs:
                    is_suspended = True
                    self._holdings.suspend(chunk, record.offset())
                    self._fate.await_outputs(chunk, [record], route, outputs)
            with self._lock:
                self._tally.skipped += is_skipped
                self._tally.handled += not is_skipped
                if not self._lanes.shift(lane, finished=not is_suspended):
                    return

    def _run_batches(self, lane: Lane, outputs: list[Any]) -> None:
        """Handle the chunks of a partition, until there are no more or a call fails."""
        while True:
            chunk = lane.queue[0][0]
            course = lane.course = lane.course or Course(chunk, self._read, self._read_alike)
            while (step := course.next(lane.attempt)) is not None:
                try:
                    if step.error is not None:
                        raise step.error
                    if step.route is not None:
                        if step.route.is_shut and not lane.is_probe:
                            raise Shut
                        lane.queue[0] = (chunk, step.records[0])
                        lane.since, lane.timeout = time.monotonic(), step.route.handler.timeout
                        set_correlation_id(step.correlation_id)
                        copy_context().run(step.route.fn, step.argument)
                except BaseException as error:
                    outputs.clear()
                    if not self._goes_on(lane, course, step, error):
                        return
                else:
                    self._succeeded(lane, chunk, step, outputs)
                    self._over(lane, course, step)
                if chunk.tenure.is_leaving:
                    break
            with self._lock:
                if not self._lanes.shift(lane, finished=False):
                    return

    def _wake_one(self) -> None:
        with self._lock:
            self._wake()

    _wake_soon = _wake_one

    def _due_in(self, seconds: float) -> None:
        self._watcher.tell()
