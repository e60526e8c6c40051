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
        step: Step | None = None
        skipped = 0
        while self._rest:
            record = self._rest[0]
            try:
                call = self._read(record, attempt)
            except Unread as error:
                if step is None:
                    step = Step(None, None, None, [record], error=error)
                    self._rest.popleft()
                break
            if call is None:
                skipped += 1
            elif step is None:
                route, argument, correlation_id = call
                is_batch = route.handler.is_batch
                step = Step(route, [argument] if is_batch else argument, correlation_id, [record])
            elif call[0] is step.route:
                step.records.append(record)
                step.argument.append(call[1])
                step.correlation_id = None
            else:
                break
            self._rest.popleft()
            if step is not None and self._is_whole(step):
                break
        if step is None and skipped:
            step = Step(None, None, None, [])
        if step is not None:
            step.skipped = skipped
        return step

    def _is_whole(self, step: Step) -> bool:
        if step.route is None or not step.route.handler.is_batch or self._singly:
            return True
        return len(step.records) >= step.route.handler.most

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
