"""A chunk in batches: the calls that it makes, one after another. Pure but for the reading of records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from tidings.consuming.message import Record
from tidings.consuming.places import Chunk
from tidings.consuming.reading import Call, Route, Unread


class Step(msgspec.Struct, eq=False):
    """One call, with the records that are over when it has succeeded."""

    route: Route | None
    """None: nobody handles these, or ``error`` says why they cannot be read."""
    argument: Any
    correlation_id: str | None
    records: list[Record]
    skipped: int = 0
    error: Unread | None = None


class Course:
    """Goes through a chunk in order. A batch that fails is put back to be taken one by one."""

    def __init__(self, chunk: Chunk, read: Callable[[Record, int], Call | None]) -> None:
        self._chunk = chunk
        self._read = read
        self._rest = deque(chunk.records)
        self._singly = 0
        """So many records are taken one by one."""

    def next(self, attempt: int) -> Step | None:
        """The next call; None at the end of the chunk."""
        rest, read = self._rest, self._read
        step: Step | None = None
        skipped = room = 0
        while rest:
            record = rest[0]
            try:
                call = read(record, attempt)
            except Unread as error:
                if step is None:
                    step = Step(None, None, None, [record], error=error)
                    rest.popleft()
                break
            if call is None:
                skipped += 1
            elif step is None:
                route, argument, correlation_id = call
                room = self._room(route)
                step = Step(
                    route, [argument] if route.handler.is_batch else argument, correlation_id, [record]
                )
                records, arguments = step.records, step.argument
            elif call[0] is route:
                records.append(record)
                arguments.append(call[1])
                room -= 1
            else:
                break
            rest.popleft()
            if step is not None and not room:
                break
        if step is None and skipped:
            step = Step(None, None, None, [])
        if step is not None:
            step.skipped = skipped
            if len(step.records) > 1:
                step.correlation_id = None
        return step

    def _room(self, route: Route) -> int:
        """How many more records than one a call may have."""
        handler = route.handler
        return 0 if self._singly or not handler.is_batch else handler.most - 1

    def split(self, step: Step) -> bool:
        """The call failed: take its records one by one. False where it was one already."""
        if len(step.records) < 2:
            return False
        self.put_back(step)
        self._singly = len(step.records)
        return True

    def put_back(self, step: Step) -> None:
        """The call is to be made again."""
        self._rest.extendleft(reversed(step.records))

    def done(self, step: Step) -> None:
        """These records are over. The caller holds the lock."""
        self._singly = max(0, self._singly - len(step.records))
        self._chunk.begun = self._rest[0].offset() if self._rest else self._chunk.end
