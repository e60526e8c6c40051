"""Logging what may come in thousands: the first in full, and those like it as a count, by their ids."""

from __future__ import annotations

import logging
from typing import Any

from tidings.errors import DeliveryError
from tidings.publishing.entry import Delivery, Undelivered, correlation_id_of
from tidings.publishing.plain import plain
from tidings.publishing.threads import native_rlock
from tidings.publishing.voice import Voice

_KINDS = 20
_NAMED = 20
_LONGEST = 250
_WINDOW = 10.0
_ALIKE = ("topic", "code", "error")


class Storm:
    """Logs what occurs: the first at once and in full, those like it every ten seconds as one count.

    Alike are those of the same ``topic``, ``code`` and ``error``; beyond 20 kinds all are counted together. A
    count names the first 20 event_ids. A kind that did not come for ten seconds is new again. Any thread;
    ``tick`` every now and then.
    """

    def __init__(self, voice: Voice | logging.Logger, level: int, kind: str) -> None:
        self._voice = voice
        self._level = level
        self._kind = kind
        self._lock = native_rlock()
        self._more: dict[tuple[object, ...], _More] = {}
        self._window_ends = 0.0

    def record(self, line: str, *, raised: BaseException | None = None, **fields: Any) -> None:
        """One more of them. If it is told in full, its record has these fields, but for those that are None,
        and the traceback of ``raised``."""
        fields = {name: value for name, value in fields.items() if value is not None}
        kind = tuple(fields.get(name) for name in _ALIKE)
        with self._lock:
            if is_first := kind not in self._more and len(self._more) < _KINDS:
                self._more[kind] = _More({name: fields[name] for name in _ALIKE if name in fields})
            elif kind in self._more:
                self._more[kind].add(fields)
            else:
                self._more.setdefault((), _More({})).add(fields)
        if is_first:
            self._log(line, fields, raised)

    def tick(self, now: float) -> None:
        """Say what has not been said, once the window is over."""
        if now >= self._window_ends:
            self._window_ends = now + _WINDOW
            self.flush()

    def flush(self) -> None:
        """Say what has not been said."""
        with self._lock:
            before, self._more = self._more, {}
            for kind, more in before.items():
                if more.count and kind:  # it goes on: its next one is no news
                    self._more[kind] = _More(more.fields)
        for more in before.values():
            if more.count:
                self._log(more.line(), {**more.fields, **more.found()})

    def _log(self, line: str, fields: dict[str, object], raised: BaseException | None = None) -> None:
        traceback: dict[str, Any] = {} if raised is None else {"exc_info": raised}
        self._voice.log(self._level, f"{self._kind}: {line}", extra=fields, **traceback)


class _More:
    """Those of one kind that came after its first; ``fields`` are what they have in common."""

    def __init__(self, fields: dict[str, object]) -> None:
        self.fields = fields
        self.count = 0
        self._ids: list[str] = []

    def add(self, fields: dict[str, object]) -> None:
        self.count += 1
        if "event_id" in fields and len(self._ids) < _NAMED:
            self._ids.append(plain(str(fields["event_id"]), _LONGEST))

    def found(self) -> dict[str, object]:
        return {"count": self.count, "event_ids": self._ids} if self._ids else {"count": self.count}

    def line(self) -> str:
        words = [f"{name}={plain(str(value), _LONGEST)}" for name, value in self.fields.items()]
        words += [f"event_id={event_id}" for event_id in self._ids]
        if self._ids and self.count > len(self._ids):
            words.append(f"and {self.count - len(self._ids)} not named")
        return f"{self.count} more: {' '.join(words)}" if words else f"{self.count} more"


class Storms:
    """What a publisher tells of its events, and of Kafka. Any thread; ``tick`` every now and then."""

    def __init__(self, voice: Voice) -> None:
        self.lost = Storm(voice, logging.CRITICAL, "event lost")
        self.rejected = Storm(voice, logging.ERROR, "event rejected")
        self.dead_lettered = Storm(voice, logging.WARNING, "event dead-lettered")
        self.kafka = Storm(voice, logging.WARNING, "Kafka")
        self._all = (self.lost, self.rejected, self.dead_lettered, self.kafka)

    def tell(self, storm: Storm, entry: Delivery, why: Undelivered) -> None:
        """An event will not be delivered as it is."""
        name = plain(entry.event_id, _LONGEST)
        letter = f" letter={why.letter_id}" if why.letter_id else ""
        storm.record(
            f"event_id={name} topic={entry.topic}{letter} reason={why.kafka_error} ({why.reason})",
            event_id=name,
            topic=entry.topic,
            correlation_id=correlation_id_of(entry),
            error=why.kafka_error,
            code=DeliveryError.code,
        )

    def tick(self, now: float) -> None:
        """Say what has not been said, once the window is over."""
        for storm in self._all:
            storm.tick(now)

    def flush(self) -> None:
        """Say what has not been said."""
        for storm in self._all:
            storm.flush()
