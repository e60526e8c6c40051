"""One accepted event: the engine's entry and the caller's Delivery, in one object."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tidings.errors import Certainty, DeliveryError, PublishError
from tidings.states import Receipt, State

if TYPE_CHECKING:
    from tidings.publishing.backlog import Shelf
    from tidings.publishing.ledger import Ledger
    from tidings.publishing.transport import Fault, Record
    from tidings.publishing.waking import Waking

Pair = tuple[str, bytes | None]

ACCEPTED = State.ACCEPTED
DELIVERED = State.DELIVERED


class Failure(Protocol):
    """Why a Delivery failed, as plain values: an exception that was raised would hold frames alive."""

    def error(self, delivery: Delivery) -> DeliveryError | PublishError:
        """A new exception each time it is asked for."""


class Refused(msgspec.Struct, frozen=True):
    """The event was rejected: ON_REJECT=log, or one of a batch."""

    kind: type[PublishError]
    text: str

    def error(self, delivery: Delivery) -> PublishError:
        return self.kind(self.text)


class Undelivered(msgspec.Struct, frozen=True):
    """The event was accepted, and Kafka does not have it, or may not have it."""

    kafka_error: str
    reason: str
    certainty: Certainty
    attempts: int
    letter_id: str | None = None

    def error(self, delivery: Delivery) -> DeliveryError:
        return DeliveryError(
            f"{delivery.event_id} for {delivery.topic} is {delivery.state} after {self.attempts} attempt(s): "
            f"{self.kafka_error} ({self.reason}); certainty: {self.certainty}.",
            kafka_error=self.kafka_error,
            certainty=self.certainty,
            attempts=self.attempts,
            event_id=delivery.event_id,
            topic=delivery.topic,
            letter_id=self.letter_id,
        )


class HeaderSource(Protocol):
    """Knows the headers of a record by its value."""

    def headers_of(self, value: bytes) -> list[Pair]: ...


class Keeper(Protocol):
    """What an entry needs of the engine it belongs to."""

    ledger: Ledger
    waking: Waking
    unwoken: list[Delivery]
    """Entries that ended while a signal handler raised: those who wait may not know yet."""

    def undelivered(self, entry: Delivery, fault: Fault, attempt: int) -> None:
        """librdkafka reported that this hand-over did not deliver the record."""

    def forget(self, entry: Delivery) -> None:
        """The entry was delivered: its row in the store is not needed any more."""


class Delivery(msgspec.Struct, gc=False, eq=False, weakref=False):
    """The future of one accepted event. Safe to use from any thread and any event loop.

    ``wait`` in a thread, ``await`` in a coroutine, or forget it: the event is delivered all the same.
    Cancelling an await never cancels the event.

    It is itself the callable that librdkafka reports to (no bound method per event), and untracked by the
    garbage collector: with tracked objects per event, collecting cost 10 to 15% of the rate. Fields with a
    leading underscore, and ``value``, ``headers`` are the engine's.
    """

    _keeper: Keeper
    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[Pair] | tuple[Pair, ...] | HeaderSource | None
    """The record's headers, or what can write them again: a list per event is tracked by the collector."""
    _event_id: bytes
    partition: int = -1
    timestamp: int = 0
    offset: int = -1
    attempts: int = 1
    """Hand-overs to the Kafka client."""
    state: State = ACCEPTED
    """What the caller may know; moves once."""
    handed: bool = False
    """produce() has returned: written by the publishing thread alone."""
    ended: bool = False
    """Nothing more will happen to this object. A row of the store may have taken over."""
    waiting: bool = False
    """The keeper has it; the client does not."""
    maybe_sent: bool = False
    """A send ended without a broker's answer: Kafka may have the event (ENGINE R11)."""
    born: float = 0.0
    """When the keeper first saw it, by the keeper's clock."""
    seq: int = 0
    """The number of its row in the store, or 0. Set before the row is written."""
    shelf: Shelf | None = None
    """Where that row is."""
    on_disk: bool = False
    """The row is on disk: the process may die."""
    counted: bool = False
    """The gate counts it: later events of its key wait for it."""
    since: int = 0
    """When it was accepted, wall clock, ms; known only of what comes from the store."""
    why: Undelivered | None = None
    """Why its last hand-over failed."""
    _waiters: list[Callable[[], None]] | None = None
    _safe_waiters: list[Callable[[], None]] | None = None
    _failure: Failure | None = None

    def __call__(self, fault: Fault | None, record: Record) -> None:
        """librdkafka's report. Calls are serialised by the pump."""
        keeper = self._keeper
        if self.ended:
            keeper.ledger.late += 1
        elif fault is None:
            # Never keep the record itself: its fields are 40% of the rate (measured 160k against 289k).
            self.partition = record.partition()  # type: ignore[assignment]
            # None where Kafka knew the record from an earlier attempt, and says no offset.
            self.offset = -1 if (offset := record.offset()) is None else offset
            self.timestamp = record.timestamp()[1]
            # From here to the state no call is made, so no signal handler and no other thread comes between.
            keeper.ledger.delivered += 1
            self.ended = True  # before the value goes: the keeper reads the value first, then this
            self.value = self.headers = None
            if self.state is ACCEPTED:
                self.state = DELIVERED
            if self.seq or self._waiters is not None:
                try:
                    if self.seq:
                        keeper.forget(self)
                    keeper.waking.wake(self)
                except BaseException:  # a signal handler's: the pump makes up for it
                    keeper.unwoken.append(self)
                    raise
        else:
            keeper.undelivered(self, fault, 1)

    def acknowledged(self, partition: int, offset: int, timestamp: int) -> None:
        """Kafka has it, said the careful client. Whoever calls this counts it and wakes those who wait."""
        self.partition, self.offset, self.timestamp = partition, offset, timestamp
        self.ended = True
        self.value = self.headers = None
        if self.state is ACCEPTED:
            self.state = DELIVERED

    def shelved(self) -> None:
        """A row of the store has taken over: this object's part is over."""
        self.ended = True
        self.value = self.headers = None

    @property
    def event_id(self) -> str:
        """The event's id, as in its envelope and headers."""
        return self._event_id.decode()

    @property
    def error(self) -> DeliveryError | PublishError | None:
        """Why it failed, as a new exception, or None."""
        return None if self._failure is None else self._failure.error(self)

    def __repr__(self) -> str:
        return f"<Delivery {self.event_id!r} for {self.topic!r}: {self.state}>"

    def record_headers(self) -> list[Pair]:
        """The headers the record was produced with; not once it is delivered."""
        headers = self.headers
        if headers is None or isinstance(headers, (list, tuple)):
            return list(headers or ())
        return headers.headers_of(self.value or b"")

    def done(self) -> bool:
        """True once the state is no longer ``accepted``."""
        return self.state is not ACCEPTED

    def wait(self, timeout: float | None = None) -> Receipt:
        """Block this thread until the delivery has settled; ``timeout`` in seconds, None waits for ever.

        Raises TimeoutError (the event stays accepted), DeliveryError when it was dead-lettered or lost,
        its PublishError when it was rejected. Never call it in a running event loop: await instead.
        """
        if self.state is ACCEPTED:
            self._keeper.waking.wait(self, timeout)
        return self._receipt()

    def __await__(self) -> Generator[Any, None, Receipt]:
        if self.state is ACCEPTED:
            yield from self._keeper.waking.future(self)
        return self._receipt()

    def wait_safe(self, timeout: float | None = None) -> None:
        """Block until the process may die without losing the event: it is on disk, in Kafka or a letter.

        Raises TimeoutError, DeliveryError when it was lost, or its PublishError when it was rejected. Without
        a store (DURABILITY=memory) only Kafka is safe.
        """
        if self.state is ACCEPTED and not self.on_disk:
            self._keeper.waking.wait(self, timeout, safe=True)
        self._raise_if_unsafe()

    async def safe(self) -> None:
        """``wait_safe`` for a coroutine."""
        if self.state is ACCEPTED and not self.on_disk:
            await _Safe(self)
        self._raise_if_unsafe()

    def add_done_callback(self, fn: Callable[[Delivery], object]) -> None:
        """Call ``fn(delivery)`` on the notify thread when settled, also when it already is.

        What it raises is logged. It may publish; it should not block for long, since callbacks share one
        thread.
        """
        self._keeper.waking.notify(self, fn)

    def _raise_if_unsafe(self) -> None:
        if self._failure is not None and self.state is not State.DEAD_LETTERED:
            raise self._failure.error(self)

    def _receipt(self) -> Receipt:
        if self._failure is not None:
            raise self._failure.error(self)
        delivered = self.state is DELIVERED
        return Receipt(
            state=self.state,
            event_id=self.event_id,
            topic=self.topic,
            partition=self.partition if delivered else -1,
            offset=self.offset if delivered else -1,
            timestamp=self.timestamp if delivered else None,
            attempts=self.attempts,
        )


def correlation_id_of(entry: Delivery) -> str | None:
    """The correlation id of the record, if it has one; not once it is delivered."""
    found = dict(entry.record_headers()).get("correlation_id")
    return None if found is None else found.decode(errors="replace")


class _Safe:
    """Awaits that a delivery is safe."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def __await__(self) -> Generator[Any, None, None]:
        yield from self._delivery._keeper.waking.future(self._delivery, safe=True)


class Attempt:
    """The report of a later hand-over of an entry; an earlier one may still come, and then it is late."""

    __slots__ = ("_entry", "_number")

    def __init__(self, entry: Delivery) -> None:
        self._entry = entry
        self._number = entry.attempts

    def __call__(self, fault: Fault | None, record: Record) -> None:
        entry = self._entry
        if fault is None or entry.ended:
            entry(fault, record)
        else:
            entry._keeper.undelivered(entry, fault, self._number)
