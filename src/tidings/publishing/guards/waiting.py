"""Waiting for room: a thread at a guard, as long as the call may block; a coroutine for room of any kind."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tidings.errors import PublishError
from tidings.publishing.admission import Admission
from tidings.publishing.entry import Delivery
from tidings.publishing.guards.doors import Held

if TYPE_CHECKING:
    from tidings.publishing.engine import Engine

_LONGEST_NAP = 0.05
"""A publisher that is closed meanwhile is noticed after so long."""
_NAP = 0.002
"""The shortest: places at a bulkhead come free batch by batch."""


def admission(engine: Engine, max_block: float) -> Admission:
    """The admission of an engine, past its guards if there are any."""
    return GuardedAdmission(engine, max_block) if engine.guards.are_on else Admission(engine, max_block)


class GuardedAdmission(Admission):
    """Admission past guards: an entry that one of them holds tries its door again until its time is up."""

    def not_handed(self, entry: Delivery, error: BaseException, asked: bool, max_block: float | None) -> None:
        if isinstance(error, Held):
            end = time.monotonic() + self._patience(max_block)
            while isinstance(error, Held):
                self._wait(error, end)
                asked = False
                try:
                    error.door(entry)
                    asked = True
                    self._produce(entry)
                except BaseException as next_error:
                    error = next_error
                else:
                    return
            max_block = max(0.0, end - time.monotonic())
        if not asked and not self._engine.ledger.has(entry):
            entry.ended = (
                True  # a signal handler's, on the way through the door: there is nothing to take back
            )
        super().not_handed(entry, error, asked, max_block)

    def _wait(self, held: Held, end: float) -> None:
        """Wait a moment, or refuse the entry: nothing of it is in the ledger."""
        if self._engine.closed:
            raise self._engine.closed_error() from None
        left = end - time.monotonic()
        if left <= held.due:
            raise held.refusal() from None
        if held.due:
            time.sleep(min(held.due, _LONGEST_NAP))
        elif not self._make_room(end):
            time.sleep(_NAP)


async def until_there_is_room(publish: Callable[[], Delivery], max_block: float) -> Delivery:
    """Call ``publish``, and again for up to ``max_block`` seconds while it refuses what it may take later."""
    import asyncio  # noqa: PLC0415 - costs 30 ms, and whoever awaits has it already

    end, nap = time.monotonic() + max_block, _NAP
    while True:
        try:
            return publish()
        except PublishError as error:
            if not error.retriable or (left := end - time.monotonic()) <= 0:
                raise
        await asyncio.sleep(min(nap, left))
        nap = min(2 * nap, _LONGEST_NAP)
