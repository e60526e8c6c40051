"""The relay on an event loop: async handlers, as tasks. One leads, until its handler has to wait.

The leader's task runs the first step of each handler itself, and most handlers that have nothing to wait for
end there: no task, no wake-up, 510k events a second where a task for each had 215k (measured). A handler that
waits keeps its task and its key; another task goes on with the rest of the chunk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextvars import ContextVar, copy_context

from tidings.consuming.fate import Fate
from tidings.consuming.holdings import Holdings
from tidings.consuming.looptasks import LoopTasks
from tidings.consuming.places import Chunk, Tenure
from tidings.consuming.reading import Reading
from tidings.publishing.outputs import collect_outputs
from tidings.publishing.threads import native_lock

_within: ContextVar[LoopRelay | None] = ContextVar("tidings_within", default=None)
"""Whose handler this is: inherited by the tasks that it makes, as those of asyncio.wait_for are."""


class LoopRelay(LoopTasks):
    """Runs handlers on ``loop``, at most ``workers`` at a time; sync ones on threads beside it.

    What is not said to be for the polling thread happens on the loop. The lock is for what both touch.
    """

    def __init__(
        self,
        holdings: Holdings,
        reading: Reading,
        fate: Fate,
        workers: int,
        hang_exit: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(holdings, reading, fate, workers, hang_exit, loop)
        self._context = copy_context()
        """What handlers find in context variables: what was there at the start."""
        self._context.run(_within.set, self)
        self._idle: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = native_lock()

    # -- for the polling thread, and others

    def start(self) -> None:
        """Begin to look after the loop."""
        self._loop.call_soon_threadsafe(self._overdue.start)

    def give(self, chunks: Iterable[Chunk]) -> None:
        """Have these handled; one call into the loop for all of them."""
        with self._lock:
            if self._in_batches:
                for chunk in chunks:
                    self._lanes.enqueue(chunk)
            else:
                self._inbox.extend(chunks)
        self._loop.call_soon_threadsafe(self._look_for_work)

    def let_go(self) -> None:
        """Begin nothing more of tenures that leave."""
        with self._lock:
            self._drop_what_leaves()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._on_due)

    def is_running(self, tenures: Iterable[Tenure]) -> bool:
        """True while a handler has a record of one of these, which leave."""
        with self._lock:
            leading = self._leading
            return (leading is not None and leading.tenure in tenures) or self._lanes.is_running(tenures)

    def hanging(self) -> str:
        """What has run for longer than it may, in spite of being cancelled; empty as a rule."""
        return self._overdue.words()

    def is_own_thread(self) -> bool:
        """True on the loop, and on the threads beside it."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return self._aside.is_own_thread()

    def is_in_handler(self) -> bool:
        """True for a coroutine that is a handler, or was begun by one: it must not wait for its own end."""
        return _within.get() is self

    def stop(self, timeout: float) -> None:
        """Cancel every task; wait for up to ``timeout`` seconds."""
        if self._loop.is_closed():
            return
        self._ended.acquire(blocking=False)
        self._loop.call_soon_threadsafe(self._end)
        self._ended.acquire(timeout=timeout)

    @property
    def _is_leading(self) -> bool:
        return self._leading is not None

    # -- on the loop

    def _end(self) -> None:
        self._stopping = True
        self._overdue.stop()
        for task in self._tasks:
            task.cancel()
        self._aside.stop()
        if not self._tasks:
            self._ended.release()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fate.stumbled(error)
        if self._stopping and not self._tasks and self._ended.locked():
            self._ended.release()

    def _look_for_work(self) -> None:
        if self._leading is None:
            for _ in range(max(1, len(self._lanes.ready)) if self._in_batches else 1):
                self._wake()

    def _wake(self) -> None:
        """Have a task look for something to do."""
        rest = self._idle.pop() if self._idle else None
        if rest is not None:
            if not rest.done():  # or its task was cancelled
                rest.set_result(None)
        elif len(self._tasks) < self._most and not self._stopping:
            task = self._loop.create_task(self._work(), context=self._context.copy())
            self._tasks.add(task)
            task.add_done_callback(self._task_ended)

    def _on_due(self) -> None:
        with self._lock:
            woken = self._lanes.wake_due(time.monotonic())
        for _ in range(woken):
            self._wake()

    async def _work(self) -> None:
        outputs = collect_outputs()
        while not self._stopping:
            with self._lock:
                lane = self._lanes.begin()
                chunk = self._lead() if lane is None else None
            if lane is not None:
                await (self._run_batches if self._in_batches else self._run)(lane, outputs)
            elif chunk is not None:
                await self._go_through(chunk, outputs)
            else:
                rest = self._loop.create_future()
                self._idle.append(rest)
                await rest

    def _lead(self) -> Chunk | None:
        """The chunk that the caller is to go through; the lock is held."""
        while self._inbox and self._leading is None:
            chunk = self._inbox.popleft()
            if not chunk.tenure.is_leaving:
                self._leading = chunk
                return chunk
        return None

    def _wake_one(self) -> None:
        self._wake()

    def _wake_soon(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _due_in(self, seconds: float) -> None:
        self._loop.call_later(seconds, self._on_due)
