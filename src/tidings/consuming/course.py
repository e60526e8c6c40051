"""A chunk in batches: the calls that it makes, one after another. Pure but for the reading of records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tidings.consuming.message import Record
from tidings.consuming.places import Chunk
from tidings.consuming.reading import Call, ReadAlike, Route, Unread


class Step(msgspec.Struct, eq=False):
    """One call, with the records that are over when it has succeeded."""

    route: Route | None
    """None: nobody handles these, or ``error`` says why they cannot be read."""
    argument: Any
    correlation_id: str | None
    records: list[Record]
    skipped: int = 0
    error: Exception | None = None


class Course:
    """Goes through a chunk in order. A batch that fails is put back to be taken one by one."""

    def __init__(
        self, chunk: Chunk, read: Callable[[Record, int], Call | None], read_alike: ReadAlike
    ) -> None:
        self._chunk = chunk
        self._read = read
        self._records = chunk.records
        self._alike = read_alike(chunk.records)
        """All of the chunk at once, where that can be: 0.2 µs less for each."""
        self._at = 0
        """Which record is next."""
        self._began = 0
        """Where the last step began: with a record that is its own, or is skipped."""
        self._singly = 0
        """So many records are taken one by one."""

    def next(self, attempt: int) -> Step | None:
        """The next call; None at the end of the chunk."""
        self._began = self._at
        found = None if self._alike is None else self._next_alike(*self._alike)
        return self._next_of_any(attempt) if found is None else found

    def _next_of_any(self, attempt: int) -> Step | None:
        read, at = self._read, self._at
        step: Step | None = None
        skipped = room = 0
        for record in self._records[at:]:
            try:
                call = read(record, attempt)
            except BaseException as error:  # of a class's own __post_init__, perhaps
                if step is None:
                    step = Step(None, None, None, [record], error=_as_unread(error))
                    at += 1
                break
            if call is None:
                skipped += 1
            elif step is None:
                route, argument, correlation_id = call
                room = self._room(route)
                step = Step(
                    route, [argument] if route.handler.is_batch else argument, correlation_id, [record]
                )
                if not room:
                    at += 1
                    break
                keep, pass_on = step.records.append, step.argument.append
            elif call[0] is route:
                keep(record)
                pass_on(call[1])
                room -= 1
                if not room:
                    at += 1
                    break
            else:
                break
            at += 1
        self._at = at
        if step is None and skipped:
            step = Step(None, None, None, [])
        if step is not None:
            step.skipped = skipped
            if len(step.records) > 1:
                step.correlation_id = None
        return step

    def _next_alike(self, route: Route, data: list[Any]) -> Step | None:
        """Of a chunk that is all one handler's; None where it has fewer than two for a call."""
        at = self._at
        end = at + self._room(route) + 1
        if end - at < 2 or len(data) - at < 2:
            return None
        self._at = min(end, len(data))
        return Step(route, data[at:end], None, list(self._records[at:end]))

    def _room(self, route: Route) -> int:
        """How many more records than one a call may have."""
        handler = route.handler
        return 0 if self._singly or not handler.is_batch else handler.most - 1

    def split(self, step: Step) -> bool:
        """The last call failed: take its records one by one. False where it was one already."""
        if len(step.records) < 2:
            return False
        self.put_back()
        self._singly = len(step.records)
        return True

    def put_back(self) -> None:
        """The last call is to be made again, of what is read again: its handler may have changed the data.
        What was skipped with it is counted then."""
        self._at = self._began
        self._alike = None

    def done(self, step: Step) -> None:
        """These records are over. The caller holds the lock."""
        self._singly = max(0, self._singly - len(step.records))
        at, records = self._at, self._records
        self._chunk.begun = records[at].offset() if at < len(records) else self._chunk.end


def _as_unread(error: BaseException) -> Exception:
    """A CancelledError or SystemExit of a class would end who raises it again."""
    return error if isinstance(error, Exception) else Unread(f"Its class raised {type(error).__qualname__}.")
