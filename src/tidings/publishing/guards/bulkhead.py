"""The bulkhead: a cap on the events of one topic under way, so that a slow one cannot take the whole queue.

Nothing is counted up and down. An entry says itself whether it has ended, however that came about, and so
no place can leak; those that have are forgotten when places run short.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tidings.topics import EVERY_TOPIC

_SLACK = 64
_LOOK_COST = 1e-7
"""Seconds for each entry of a full line. Looking at one takes a fifth of it: callers that are refused again
and again spend no more of a core than that on it."""


class Occupant(Protocol):
    """An entry, as far as the bulkhead is concerned."""

    @property
    def topic(self) -> str: ...

    @property
    def ended(self) -> bool: ...


class Bulkhead:
    """``caps`` has the most entries under way by topic; ``*`` is any other topic. Its caller holds a lock."""

    def __init__(self, caps: Mapping[str, int]) -> None:
        self._caps = dict(caps)
        self._of_others = self._caps.pop(EVERY_TOPIC, None)
        self._lines: dict[str, _Line] = {}
        self._most_lines = _SLACK

    def cap_of(self, topic: str) -> int | None:
        """The most entries the topic may have under way; None: any number."""
        return self._caps.get(topic, self._of_others)

    def has_room(self, topic: str, now: float) -> bool:
        """True when one more entry of the topic may come in."""
        line = self._lines.get(topic)
        return line is None or line.has_room(now)

    def add(self, entry: Occupant) -> None:
        """Give the entry a place, until it has ended."""
        line = self._lines.get(entry.topic) or self._new_line(entry.topic)
        if line is not None:
            line.entries.append(entry)

    def under_way(self) -> dict[str, int]:
        """How many entries are under way, by topic, where there is a cap. Any thread, without the lock."""
        return {topic: line.count() for topic, line in list(self._lines.items())}

    def _new_line(self, topic: str) -> _Line | None:
        if (cap := self.cap_of(topic)) is None:
            return None
        if len(self._lines) >= self._most_lines:  # somebody makes up topics
            self._lines = {topic: line for topic, line in self._lines.items() if line.count()}
            self._most_lines = 2 * len(self._lines) + _SLACK
        line = self._lines[topic] = _Line(cap)
        return line


class _Line:
    """The entries of one topic. Some may have ended already: at most as many as have not, and 64."""

    __slots__ = ("_cap", "_look_at", "_next_look", "entries")

    def __init__(self, cap: int) -> None:
        self.entries: list[Occupant] = []
        self._cap = cap
        self._look_at = min(cap, _SLACK)
        self._next_look = 0.0

    def has_room(self, now: float) -> bool:
        entries = self.entries
        if len(entries) < self._look_at:
            return True
        if now < self._next_look:
            return False
        entries[:] = [entry for entry in entries if not entry.ended]
        left = len(entries)
        self._look_at = min(self._cap, 2 * left + _SLACK)
        if left < self._cap:
            return True
        self._next_look = now + left * _LOOK_COST
        return False

    def count(self) -> int:
        return sum(not entry.ended for entry in tuple(self.entries))
