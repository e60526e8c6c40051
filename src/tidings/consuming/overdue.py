"""Async handlers that take too long: cancelled, and told where that does not help (ENGINE C6)."""

from __future__ import annotations

import asyncio
import logging
import time

from tidings.consuming.handlers import Handler
from tidings.consuming.hangs import NO_STOP, end_process
from tidings.consuming.message import place_of
from tidings.consuming.places import Lane

_LEAST = 0.01
_LONGEST = 0.5
_BLOCKED = 1.0
"""A loop that is late by so many seconds was blocked."""


class Overdue:
    """Looks, ten times in the shortest timeout, at tasks whose handlers wait. On the loop, save ``words``.

    Sync handlers on threads beside the loop are not cancelled: see ``Hangs``.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, hang_exit: float, logger: logging.Logger) -> None:
        self._loop = loop
        self._hang_exit = hang_exit
        self._logger = logger
        self._ends: dict[asyncio.Task[None], tuple[float, Lane, Handler]] = {}
        self._late: dict[asyncio.Task[None], str] = {}
        """Those that should have ended, and what is to be said of them."""
        self._pause = _LONGEST
        self._timer: asyncio.TimerHandle | None = None
        self._looked = time.monotonic()
        self._has_warned = False
        self._stopping = False

    def start(self) -> None:
        """Look from now on."""
        self._look()

    def stop(self) -> None:
        """Look no more."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()

    def watch(self, task: asyncio.Task[None], lane: Lane, handler: Handler) -> None:
        """Cancel the task when its handler's time is over, unless ``ended`` is called before."""
        timeout = handler.timeout
        self._ends[task] = (time.monotonic() + timeout, lane, handler)
        if timeout / 10 < self._pause and self._pause > _LEAST:
            self._pause = max(timeout / 10, _LEAST)
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(self._pause, self._look)

    def ended(self, task: asyncio.Task[None]) -> bool:
        """Its handler has ended; True if it was cancelled here."""
        _, _, handler = self._ends.pop(task)
        return self._late.pop(task, None) is not None and handler.is_async

    def words(self) -> str:
        """What hangs, for health; empty as a rule. Any thread."""
        late = time.monotonic() - self._looked - self._pause
        if late > _BLOCKED and not self._stopping:
            return f"the event loop has been blocked for {late:.1f} s"
        return "; ".join(list(self._late.values()))

    def _look(self) -> None:
        now = time.monotonic()
        late = now - self._looked - self._pause
        self._looked = now
        if late > _BLOCKED and not self._has_warned:
            self._has_warned = True
            self._logger.warning(
                f"The event loop was blocked for {late:.1f} s: an async handler must await what takes long. "
                "Make it a plain function, and it runs on a thread. This is said once."
            )
        for task, (end, lane, handler) in self._ends.items():
            if now < end:
                continue
            if task not in self._late:
                self._late[task] = f"{handler.name} has had {place_of(lane.queue[0][1])} for too long"
                if handler.is_async:
                    task.cancel()
                else:
                    self._logger.error(f"{self._late[task]}, over {handler.timeout:g} s. {NO_STOP}")
            elif not handler.is_async and self._hang_exit and now >= end + self._hang_exit:
                end_process(self._late[task], self._logger)
        if not self._stopping:
            self._timer = self._loop.call_later(self._pause, self._look)
