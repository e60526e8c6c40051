"""What the tasks of a LoopRelay do: go through a chunk, run a lane, wait for a handler."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Coroutine
from contextvars import Context, copy_context
from typing import Any

from tidings.consuming.aside import Aside
from tidings.consuming.course import Course, Step
from tidings.consuming.driving import driven
from tidings.consuming.fate import Fate
from tidings.consuming.holdings import Holdings
from tidings.consuming.message import Record
from tidings.consuming.overdue import Overdue
from tidings.consuming.places import Chunk, Lane, Phase
from tidings.consuming.reading import Reading, Route, Shut
from tidings.consuming.workbench import Workbench
from tidings.errors import HandlerError
from tidings.events.correlation import set_correlation_id

_TURN = 0.005
"""Seconds after which a leader lets the rest of the loop have a turn."""
_LOOK = 32
"""Records between two looks at the clock."""


class LoopTasks(Workbench):
    """The part of a LoopRelay that runs handlers. On the loop; the lock is for what the polling thread also
    touches."""

    def __init__(
        self,
        holdings: Holdings,
        reading: Reading,
        fate: Fate,
        workers: int,
        hang_exit: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(holdings, reading, fate, workers)
        self._loop = loop
        self._leading: Chunk | None = None
        self._overdue = Overdue(loop, hang_exit, fate.logger)
        self._aside = Aside(loop, workers)

    @abstractmethod
    def _wake(self) -> None:
        """Have a task look for something to do."""

    async def _go_through(self, chunk: Chunk, outputs: list[Any]) -> None:
        """Handle record after record, until the chunk ends or a handler waits."""
        tenure, lanes, read = chunk.tenure, chunk.tenure.place.lanes, self._read
        set_id, clock = set_correlation_id, time.monotonic
        handled = skipped = count = 0
        until = clock() + _TURN
        for record in chunk.rest:
            count += 1
            if not count % _LOOK and clock() > until:
                await asyncio.sleep(0)
                until = clock() + _TURN
            if tenure.is_leaving:
                chunk.begun = record.offset()
                break
            if lanes and (lane := lanes.get(record.key())) is not None:  # type: ignore[arg-type]
                with self._lock:
                    self._lanes.append(lane, chunk, record)
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
                work = self._start(route, argument)
                context = copy_context()
                waits_for = context.run(work.send, None)
            except StopIteration:
                handled += 1
                self._ended_at_once(chunk, record, route, outputs)
            except BaseException as error:
                outputs.clear()
                with self._lock:
                    lane = self._lanes.open(chunk, record, phase=Phase.RUNNING)
                self._failed(lane, route, argument, error)
            else:
                self._count(handled, skipped)
                lane = self._hand_over(chunk, record)
                if await self._rest(lane, route, argument, work, context, waits_for, outputs):
                    await self._run(lane, outputs)
                return
        else:
            chunk.begun = chunk.end
        self._count(handled, skipped)
        self._resign(chunk)

    def _ended_at_once(self, chunk: Chunk, record: Record, route: Route | None, outputs: list[Any]) -> None:
        if route is not None:
            route.successes += 1
        if outputs:
            self._suspend(chunk, record, route, outputs)

    def _resign(self, chunk: Chunk) -> None:
        with self._lock:
            self._leading = None
            self._holdings.settle(chunk)
        self._holdings.bell.ring()

    def _count(self, handled: int, skipped: int) -> None:
        with self._lock:
            self._tally.handled += handled
            self._tally.skipped += skipped

    def _hand_over(self, chunk: Chunk, record: Record) -> Lane:
        """The leader's handler waits: it keeps its record and the key, and another task goes on."""
        with self._lock:
            chunk.begun = record.offset() + 1
            self._leading = None
            lane = self._lanes.open(chunk, record, phase=Phase.RUNNING)
            if chunk.begun != chunk.end:
                self._inbox.appendleft(chunk)
        if self._inbox or self._lanes.ready:
            self._wake()
        return lane

    async def _run(self, lane: Lane, outputs: list[Any]) -> None:
        """Handle the records of a lane, until it is empty or one of them fails."""
        while True:
            _, record = lane.queue[0]
            route = argument = None
            try:
                if (call := self._read(record, lane.attempt)) is not None:
                    route, argument, correlation_id = call
                    if route.is_shut and not lane.is_probe:
                        raise Shut
                    set_correlation_id(correlation_id)
                    work = self._start(route, argument)
                    context = copy_context()
                    waits_for = context.run(work.send, None)
            except StopIteration:
                goes_on = self._handled(lane, route, outputs)
            except BaseException as error:
                outputs.clear()
                self._failed(lane, route, argument, error)
                return
            else:
                if route is None:
                    goes_on = self._skipped(lane)
                else:
                    goes_on = await self._rest(lane, route, argument, work, context, waits_for, outputs)
            if not goes_on:
                return

    async def _rest(
        self,
        lane: Lane,
        route: Route,
        argument: Any,
        work: Coroutine[Any, Any, Any],
        context: Context,
        waits_for: Any,
        outputs: list[Any],
    ) -> bool:
        """Wait for a handler that has begun; True while its lane has more for this task."""
        try:
            await self._finished(lane, route, work, context, waits_for)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            outputs.clear()
            self._failed(lane, route, argument, error)
            return False
        return self._handled(lane, route, outputs)

    async def _finished(
        self, lane: Lane, route: Route, work: Coroutine[Any, Any, Any], context: Context, waits_for: Any
    ) -> None:
        """Wait for a handler that has begun. Raises what it raises; TimeoutError where it took too long."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - workers are tasks
        self._overdue.watch(task, lane, route.handler)
        is_late = False
        try:
            await driven(work, context, waits_for)
        except asyncio.CancelledError:
            is_late = self._overdue.ended(task)
            if is_late:
                task.uncancel()
            elif task.cancelling():  # the consumer ends
                raise
        except BaseException:
            self._overdue.ended(task)
            raise
        else:
            self._overdue.ended(task)
            return
        if is_late:
            raise TimeoutError(f"it took longer than {route.handler.timeout:g} s, and was cancelled")
        raise HandlerError("it was cancelled by what it awaited")

    def _handled(self, lane: Lane, route: Route | None, outputs: list[Any]) -> bool:
        chunk, record = lane.queue[0]
        is_suspended = bool(outputs)
        if route is not None:
            route.successes += 1
            if lane.is_probe:
                self._recovered(lane, route)
            if outputs:
                self._suspend(chunk, record, route, outputs)
        with self._lock:
            self._tally.handled += 1
            return self._lanes.shift(lane, finished=not is_suspended)

    def _skipped(self, lane: Lane) -> bool:
        with self._lock:
            self._tally.skipped += 1
            return self._lanes.shift(lane, finished=True)

    def _suspend(self, chunk: Chunk, record: Record, route: Route | None, outputs: list[Any]) -> None:
        assert route is not None  # noqa: S101 - a handler has published
        self._holdings.suspend(chunk, record.offset())
        self._fate.await_outputs(chunk, [record], route, outputs)

    async def _run_batches(self, lane: Lane, outputs: list[Any]) -> None:
        """Handle the chunks of a partition, until there are no more or a call fails."""
        while True:
            chunk = lane.queue[0][0]
            course = lane.course = lane.course or Course(chunk, self._read, self._read_alike)
            until = time.monotonic() + _TURN
            while (step := course.next(lane.attempt)) is not None:
                try:
                    await self._call(lane, chunk, step)
                except asyncio.CancelledError:
                    raise
                except BaseException as error:
                    outputs.clear()
                    if not self._goes_on(lane, course, step, error):
                        return
                else:
                    self._succeeded(lane, chunk, step, outputs)
                    self._over(lane, course, step)
                if time.monotonic() > until:
                    await asyncio.sleep(0)
                    until = time.monotonic() + _TURN
                if chunk.tenure.is_leaving:
                    break
            with self._lock:
                if not self._lanes.shift(lane, finished=False):
                    return

    async def _call(self, lane: Lane, chunk: Chunk, step: Step) -> None:
        """Make the call of a step. Raises what its handler raises."""
        if step.error is not None:
            raise step.error
        if step.route is None:
            return
        if step.route.is_shut and not lane.is_probe:
            raise Shut
        lane.queue[0] = (chunk, step.records[0])
        set_correlation_id(step.correlation_id)
        work = self._start(step.route, step.argument)
        context = copy_context()
        try:
            waits_for = context.run(work.send, None)
        except StopIteration:
            return
        await self._finished(lane, step.route, work, context, waits_for)

    def _start(self, route: Route, argument: Any) -> Coroutine[Any, Any, Any]:
        if route.handler.is_async:
            work: Coroutine[Any, Any, Any] = route.fn(argument)
            return work
        return self._aside.run(route.fn, argument)  # it would block the loop
