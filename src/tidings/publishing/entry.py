"""One accepted event: the engine's entry and the caller's Delivery, in one object."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tidings.errors import Certainty, DeliveryError, PublishError
from tidings.states import Receipt, State

if TYPE_CHECKING:
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

    def error(self, delivery: Delivery) -> DeliveryError:
        return DeliveryError(
            f"{delivery.event_id} for {delivery.topic} is {delivery.state} after {self.attempts} attempt(s): "
            f"{self.kafka_error} ({self.reason}); certainty: {self.certainty}.",
            kafka_error=self.kafka_error,
            certainty=self.certainty,
            attempts=self.attempts,
            event_id=delivery.event_id,
            topic=delivery.topic,
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

    def undelivered(self, entry: Delivery, fault: Fault) -> None:
        """librdkafka reported that the record was not delivered."""


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
    headers: list[Pair] | HeaderSource | None
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
    """The ledger's word, written by whoever serves reports: nothing more will happen."""
    _waiters: list[Callable[[], None]] | None = None
    _failure: Failure | None = None

    def __call__(self, fault: Fault | None, record: Record) -> None:
        """librdkafka's report. Calls are serialised by the pump."""
        keeper = self._keeper
        if self.ended:
            keeper.ledger.late += 1
        elif fault is None:
            # Never keep the record itself: its fields are 40% of the rate (measured 160k against 289k).
            self.partition = record.partition()  # type: ignore[assignment]
            self.offset = record.offset()  # type: ignore[assignment]
            self.timestamp = record.timestamp()[1]
            self.value = self.headers = None
            keeper.ledger.delivered += 1
            self.ended = True
            self.state = DELIVERED
            if self._waiters is not None:
                try:
                    keeper.waking.wake(self)
                except BaseException:  # a signal handler's: the pump makes up for it
                    keeper.unwoken.append(self)
                    raise
        else:
            keeper.undelivered(self, fault)

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
        if self.headers is None or isinstance(self.headers, list):
            return self.headers or []
        return self.headers.headers_of(self.value or b"")

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
        """Block until the process may die without losing the event: it is on disk or in Kafka.

        Raises as ``wait`` does. Without a store (DURABILITY=memory) only Kafka is safe.
        """
        self.wait(timeout)

    async def safe(self) -> None:
        """``wait_safe`` for a coroutine."""
        await self

    def add_done_callback(self, fn: Callable[[Delivery], object]) -> None:
        """Call ``fn(delivery)`` on the notify thread when settled, also when it already is.

        What it raises is logged. It may publish; it should not block for long, since callbacks share one
        thread.
        """
        self._keeper.waking.notify(self, fn)

    def _receipt(self) -> Receipt:
        if self._failure is not None:
            raise self._failure.error(self)
        delivered = self.state is DELIVERED
        return Receipt(
            state=self.state,
            event_id=self.event_id,
            topic=self.topic,
            partition=self.partition if delivered else -1,
            offset=self.offset,
            timestamp=self.timestamp if delivered else None,
            attempts=self.attempts,
        )
