"""The doors: where new events come in, past the guards that are on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tidings.errors import BulkheadFull, PublishError, RateLimited
from tidings.events.declare import Priority
from tidings.publishing.entry import Delivery
from tidings.publishing.guards.bucket import TokenBucket
from tidings.publishing.guards.bulkhead import Bulkhead
from tidings.publishing.guards.shedding import ALL_OF_IT, SHARES, Room
from tidings.publishing.threads import native_rlock

if TYPE_CHECKING:
    from tidings.publishing.engine import Engine
    from tidings.settings import Settings

Door = Callable[[Delivery], object]
"""Takes an entry into the ledger. With a guard on it may raise Held: then the entry is not in it."""


class Held(Exception):
    """A guard does not let this entry in now. Never reaches a caller: he waits, or gets the ``refusal``."""

    def __init__(
        self,
        door: Door,
        kind: type[PublishError],
        text: str,
        *,
        due: float = 0.0,
        shed: Priority | None = None,
    ) -> None:
        super().__init__(text)
        self.door = door
        self.due = due
        """In how many seconds it is worth another try, where that is known."""
        self._kind = kind
        self._text = text
        self._shed = shed

    def refusal(self) -> PublishError:
        """The error for a caller who does not wait any longer."""
        error = self._kind(self._text)
        error.shed = self._shed
        return error


class Guards:
    """The guards of one engine. While all are off its doors are the ledger's own, and cost nothing."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        rate = settings.rate_limit
        self._arrive = engine.ledger.arrivals.append
        self._gate = engine.gate
        caps = {settings.topics.get(name, name): cap for name, cap in settings.bulkhead.items()}
        self._bucket = None if rate is None else TokenBucket(rate, settings.burst)
        self._bulkhead = Bulkhead(caps) if caps else None
        self._shares = SHARES if settings.shedding else ALL_OF_IT
        self._room = Room(engine, settings)
        self._lock = native_rlock()
        self.are_on = bool(self._bucket or self._bulkhead or settings.shedding)
        self.doors: Mapping[Priority, Door] = {
            priority: self._door(priority) if self.are_on else self._arrive for priority in SHARES
        }

    @property
    def under_way(self) -> dict[str, int]:
        """How many events are under way, by topic, where BULKHEAD has a cap."""
        return {} if self._bulkhead is None else self._bulkhead.under_way()

    def _door(self, priority: Priority) -> Door:
        bucket, bulkhead, share, lock = self._bucket, self._bulkhead, self._shares[priority], self._lock
        arrive, gate, clock = self._arrive, self._gate, time.monotonic

        def door(entry: Delivery) -> None:
            if share < 1.0 and (short := self._room.shortage(share, len(entry.value or b""))):
                kind, words = short
                raise Held(door, kind, self._shed_text(words, priority), shed=priority)
            with lock:
                now = clock()
                places = None if gate.is_shut(entry.topic) else bulkhead  # the store has room of its own
                if places is not None and not places.has_room(entry.topic, now):
                    raise Held(door, BulkheadFull, self._full_text(entry.topic))
                if bucket is not None and (due := bucket.take(now, share)):
                    shed = None if bucket.is_empty else priority
                    raise Held(door, RateLimited, self._limit_text(due, shed), due=due, shed=shed)
                if places is not None:
                    places.add(entry)
                arrive(entry)

        return door

    def _full_text(self, topic: str) -> str:
        assert self._bulkhead is not None
        return f"{topic} has {self._bulkhead.cap_of(topic)} events under way, as many as BULKHEAD allows."

    def _limit_text(self, due: float, shed: Priority | None) -> str:
        assert self._bucket is not None
        bucket = self._bucket
        if shed is not None:
            return self._shed_text("RATE_LIMIT is nearly reached", shed)
        return f"RATE_LIMIT is {bucket.rate:g} events a second, {bucket.burst} at once: try in {due:.3g} s."

    def _shed_text(self, words: str, priority: Priority) -> str:
        return f"{words}, and events of {priority} priority are refused above {self._shares[priority]:.0%}."
