"""Threads beside an event loop, for the sync handlers among async ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any

from tidings.publishing.threads import NativeThread, native_queue

_Work = tuple["asyncio.Future[None]", Context, Callable[[Any], Any], Any]


class Aside:
    """Up to ``most`` threads, which start when they are needed; nobody waits for them at the process's end:
    a ThreadPoolExecutor would, for a handler that hangs, and for ever. On the loop, but for is_own_thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._loop = loop
        self._most = most
        self._busy = 0
        self._threads: list[NativeThread] = []
        self._queue: SimpleQueue[_Work | None] = native_queue()

    def is_own_thread(self) -> bool:
        """True on one of these threads: in a handler."""
        return any(thread.is_current for thread in list(self._threads))

    async def run(self, fn: Callable[[Any], Any], argument: Any) -> None:
        """Call it on a thread, in a copy of this context, and wait for its end. Raises what it raises."""
        ended = self._loop.create_future()
        if self._busy >= len(self._threads) < self._most:
            thread = NativeThread(self._work, f"tidings-worker-{len(self._threads) + 1}")
            thread.start()
            self._threads.append(thread)
        self._busy += 1
        self._queue.put((ended, copy_context(), fn, argument))
        await ended

    def stop(self) -> None:
        """Have the threads end, those in handlers after them; returns at once."""
        for _ in self._threads:
            self._queue.put(None)

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            ended, context, fn, argument = work
            error: BaseException | None = None
            try:
                context.run(fn, argument)
            except BaseException as raised:  # a SystemExit too: what ends is the handler
                # A future cannot hold a StopIteration.
                error = RuntimeError(repr(raised)) if isinstance(raised, StopIteration) else raised
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._tell, ended, error)

    def _tell(self, ended: asyncio.Future[None], error: BaseException | None) -> None:
        self._busy -= 1
        if ended.done():  # cancelled meanwhile
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)
