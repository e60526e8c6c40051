"""Dedup: a handler is not called again with an event that it has handled (ENGINE C8)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from tidings.consuming.message import Message, Record
from tidings.consuming.seen import Seen
from tidings.consuming.tally import Tally
from tidings.publishing.outputs import current_outputs
from tidings.publishing.threads import native_lock

Where = tuple[str, int, int]


class Elsewhere(Exception):
    """Raised in place of a call: another record of the same event is being handled at this moment."""


class Once:
    """One handler's memory of what it has handled, and has in hand. Any thread.

    An event counts as handled when the handler has returned and what it published is in Kafka; never when it
    became a letter.
    """

    def __init__(
        self, seen: Seen, group: str, window: float, tally: Tally, counting: Any, logger: logging.Logger
    ) -> None:
        """``counting`` is the lock that guards ``tally``."""
        self._seen = seen
        self._group = group
        self._window = window
        self._tally = tally
        self._counting = counting
        self._logger = logger
        self._lock = native_lock()
        self._in_hand: dict[str, Where] = {}
        self._awaiting: dict[Where, list[str]] = {}
        """Events whose outputs are on their way, by the place of the first of their call."""
        self._failures = 0

    def around(self, fn: Callable[[Any], Any], *, messages: bool, batch: bool, is_async: bool) -> Any:
        """The handler, to be called with a Message (or a list of them) for each event; what is known is left
        out. ``messages``: it wants them itself."""

        def given(fresh: Sequence[Message[Any]]) -> Any:
            parts = [each if messages else each.data for each in fresh]
            return parts if batch else parts[0]

        def call(argument: Any) -> None:
            called_with = argument if batch else [argument]
            if fresh := self._begin(called_with):
                try:
                    fn(given(fresh))
                except BaseException:
                    self._drop(fresh)
                    raise
            self._returned(called_with, fresh)

        async def call_async(argument: Any) -> None:
            called_with = argument if batch else [argument]
            if fresh := self._begin(called_with):
                try:
                    await fn(given(fresh))
                except BaseException:
                    self._drop(fresh)
                    raise
            self._returned(called_with, fresh)

        return call_async if is_async else call

    def settle(self, record: Record, *, handled: bool) -> None:
        """What a call published is in Kafka, or (not ``handled``) lost; ``record`` was its first."""
        with self._lock:
            ids = self._awaiting.pop(_where(record), [])
        if handled:
            self._add(ids)
        self._forget(ids)

    # -- within

    def _begin(self, messages: Sequence[Message[Any]]) -> list[Message[Any]]:
        """Those that are not known, which are in hand from now on. Raises Elsewhere."""
        fresh: list[Message[Any]] = []
        try:
            for message in messages:
                event_id = message.event_id
                if not event_id:
                    fresh.append(message)
                    continue
                where = _where(message._record)
                with self._lock:
                    holder = self._in_hand.setdefault(event_id, where)
                if holder != where:
                    if any(it.event_id == event_id for it in fresh):  # twice in one list
                        continue
                    raise Elsewhere
                fresh.append(message)
                if self._seen.has(self._group, event_id, time.time() - self._window):
                    self._drop([fresh.pop()])
        except BaseException:
            self._drop(fresh)
            raise
        return fresh

    def _returned(self, messages: Sequence[Message[Any]], fresh: Sequence[Message[Any]]) -> None:
        if known := len(messages) - len(fresh):  # counted once, however many attempts there were
            with self._counting:
                self._tally.duplicates += known
        if not fresh:
            return
        ids = [event_id for each in fresh if (event_id := each.event_id)]
        if current_outputs():
            with self._lock:
                self._awaiting[_where(messages[0]._record)] = ids
            return
        self._add(ids)
        self._forget(ids)

    def _add(self, ids: Sequence[str]) -> None:
        """The events are handled, whatever comes of this: at worst they are handled twice."""
        try:
            for event_id in ids:
                self._seen.add(self._group, event_id, time.time())
        except Exception as error:
            self._failures += 1
            if self._failures & (self._failures - 1) == 0:
                self._logger.warning(
                    f"Handled events could not be remembered ({self._failures} times): {error!r}. A "
                    "duplicate of one would be handled again."
                )

    def _drop(self, messages: Sequence[Message[Any]]) -> None:
        self._forget([event_id for each in messages if (event_id := each.event_id)])

    def _forget(self, ids: Sequence[str]) -> None:
        with self._lock:
            for event_id in ids:
                self._in_hand.pop(event_id, None)


def _where(record: Record) -> Where:
    return record.topic(), record.partition(), record.offset()
