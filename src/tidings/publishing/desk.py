"""The desk: what the keeper's parts share. All of it belongs to the keeper's thread, but for the inbox."""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING

from tidings.errors import Certainty
from tidings.kafka.outcomes import answered, certainty_of
from tidings.publishing.alone import CarefulLane
from tidings.publishing.backlog import Shelf, Try
from tidings.publishing.entry import Delivery, Undelivered
from tidings.publishing.gate import bucket_of
from tidings.publishing.housing import Housing
from tidings.publishing.mind import Mind, Policy
from tidings.publishing.transport import Transport, words_of
from tidings.publishing.writing import Writer
from tidings.signals import Stored
from tidings.states import State

if TYPE_CHECKING:
    from tidings.publishing.engine import Engine
    from tidings.settings import Settings

TICK = 0.25
"""Seconds between two looks at everything that has not ended."""


class Desk:
    """Holds the parts, and the few steps that several of them take with an entry."""

    def __init__(self, engine: Engine, settings: Settings, housing: Housing | None) -> None:
        self.engine = engine
        self.settings = settings
        self.housing = housing
        self.writer = Writer(engine.logger)
        self.lane = self._new_lane()
        self.mind = Mind(
            Policy(
                stores=housing is not None,
                retry_max=settings.retry_max,
                backoff=settings.retry_backoff,
                backoff_max=settings.retry_backoff_max,
                outage_after=settings.outage_after,
                delivery_timeout=settings.delivery_timeout,
            ),
            random.Random(),  # noqa: S311 - jitter
        )
        self.inbox: deque[tuple[Delivery, int, str, str]] = deque()
        """Hand-overs that failed: the entry, which hand-over it was, Kafka's name of the error, its words."""
        self.now = 1.0
        """The keeper's clock, in seconds; it does not run while the machine is suspended."""
        self.resting = False
        """Nothing is sent any more."""

    def start_lane_afresh(self) -> None:
        """Leave the careful client with all it has; reports of it go nowhere."""
        self.lane, old = self._new_lane(), self.lane
        self.lane.retried = old.retried
        old.close()

    def _new_lane(self) -> CarefulLane:
        def connect() -> Transport:
            transport = self.engine.transport  # not start(): it refuses once the publisher is being closed
            assert transport is not None
            return transport.careful()

        return CarefulLane(connect)

    @property
    def shelves(self) -> list[Shelf]:
        """The journals, this process's own first."""
        return self.housing.shelves if self.housing is not None else []

    def failed(self, entry: Delivery, transport: Transport, error: Exception) -> bool:
        """produce() refused the entry: put it into the inbox, unless there only was no room (then False)."""
        fault = transport.refusal(error)
        if fault is not None and fault.name() == "_QUEUE_FULL":
            return False
        self.inbox.append((entry, entry.attempts, *words_of(fault, error)))
        return True

    @staticmethod
    def note(entry: Delivery, kafka_error: str, reason: str) -> None:
        """Write down why the entry failed. What may have been sent once stays in doubt (ENGINE R11)."""
        known = certainty_of(kafka_error)
        entry.maybe_sent = entry.maybe_sent or not (answered(kafka_error) or known == "not_delivered")
        certainty: Certainty = "unknown" if entry.maybe_sent else known
        entry.why = Undelivered(kafka_error, reason, certainty, entry.attempts)

    def shelve(self, entry: Delivery, due: float | None) -> None:
        """A row takes over from the entry; ``due`` is when it may be tried again, None: any time."""
        shelf = entry.shelf
        assert shelf is not None
        shelf.back(entry.topic, entry.seq)
        if entry.why is not None:
            shelf.tries[entry.seq] = Try(entry.attempts, entry.maybe_sent, entry.why.kafka_error)
        if due is not None:
            shelf.line(entry.topic).doubt(bucket_of(entry.key), due)
        if shelf.own:
            self.engine.gate.raise_bucket(entry)
        self.settle_stored(entry)
        entry.shelved()

    def settle_stored(self, entry: Delivery) -> None:
        """Tell the caller, once: it is on disk."""
        if entry.state is State.ACCEPTED:
            entry.state = State.STORED
            self.engine.waking.wake(entry)
            if self.engine.signals.hears(Stored):
                self.engine.signals.send(Stored(entry.event_id, entry.topic))
