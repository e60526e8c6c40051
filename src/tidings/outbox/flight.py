"""In flight: the rows that a relay has under way, and what their deliveries say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec

from tidings.outbox.rows import Row
from tidings.publishing.entry import Delivery
from tidings.states import State


class Judged(msgspec.Struct):
    """Ids of rows by what is to be done with them."""

    delivered: list[int] = []
    dead_lettered: list[int] = []
    failed: list[int] = []
    """Nothing is in Kafka, as far as is known, and no letter is."""

    def __bool__(self) -> bool:
        return bool(self.delivered or self.dead_lettered or self.failed)


class _Held(msgspec.Struct, eq=False):
    row: Row
    delivery: Delivery
    is_letter: bool
    lost: int
    """How many events the publisher had lost before."""


class Flight:
    """The rows under way, by id. One thread; only its length may be asked by others.

    ``has_stored`` says whether the publisher's store has events that are not in Kafka, ``lost`` how many
    events the publisher has lost.
    """

    def __init__(self, has_stored: Callable[[], bool], lost: Callable[[], int]) -> None:
        self._has_stored = has_stored
        self._lost = lost
        self._lost_by_now = lost()
        self._held: dict[int, _Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    @property
    def ids(self) -> list[int]:
        """The rows whose lease must not run out."""
        return list(self._held)

    def by_topic(self) -> Counter[str]:
        """How many are under way of each topic."""
        return Counter(held.row.topic for held in self._held.values())

    def add(self, row: Row, delivery: Delivery, *, is_letter: bool = False) -> None:
        """The event of this row, or its letter, was accepted by the publisher."""
        self._held[row.id] = _Held(row, delivery, is_letter, self._lost_by_now)

    def failure(self, number: int) -> tuple[int, str]:
        """How often the row was taken before, and why its event was not delivered now, in Kafka's word."""
        held = self._held[number]
        error = held.delivery.error
        return held.row.attempts, getattr(error, "kafka_error", held.delivery.state.value)

    def judge(self) -> Judged:
        """Those that have ended since; they stay until ``remove``, as the database may be away."""
        judged = Judged()
        self._lost_by_now = self._lost()
        for number, held in self._held.items():
            state = held.delivery.state
            if state is State.ACCEPTED or (state is State.STORED and self._is_stored(held.delivery)):
                continue
            is_gone = state is State.STORED and held.delivery.partition < 0 and self._lost() > held.lost
            if is_gone:  # as far as can be told: rather twice in Kafka than never
                judged.failed.append(number)
            elif state is State.DEAD_LETTERED or (
                held.is_letter and state in {State.DELIVERED, State.STORED}
            ):
                judged.dead_lettered.append(number)
            elif state in {State.DELIVERED, State.STORED}:
                judged.delivered.append(number)
            else:
                judged.failed.append(number)
        return judged

    def remove(self, number: int) -> None:
        """The table knows what became of it."""
        del self._held[number]

    def first_open(self) -> Delivery | None:
        """A delivery that has not settled: the one taken first."""
        return next((it.delivery for it in self._held.values() if it.delivery.state is State.ACCEPTED), None)

    def _is_stored(self, delivery: Delivery) -> bool:
        """True while the event is on the publisher's disk and not in Kafka, as far as can be told here."""
        return delivery.partition < 0 and (not delivery.ended or self._has_stored())
