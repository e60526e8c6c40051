"""The small value types callers read: State, Receipt, Stats, CloseReport, Health."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tidings.errors import BrokersUnavailable


class State(StrEnum):
    """What is known of one event. ``accepted`` moves once, to one of the others, and stays there."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    STORED = "stored"
    DEAD_LETTERED = "dead_lettered"
    LOST = "lost"
    DISCARDED = "discarded"
    REJECTED = "rejected"


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery ended in.

    ``partition`` and ``offset`` are -1 and ``timestamp`` (milliseconds since 1970, Kafka's record
    timestamp) is None unless the state is ``delivered``; ``offset`` is -1 too where Kafka had the record from
    an earlier attempt and does not say where. ``attempts`` counts hand-overs to the Kafka client.
    """

    state: State
    event_id: str
    topic: str
    partition: int = -1
    offset: int = -1
    timestamp: int | None = None
    attempts: int = 1


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The invariant, term by term: ``accepted + adopted + replayed`` = the sum of the other six."""

    accepted: int = 0
    adopted: int = 0
    replayed: int = 0
    delivered: int = 0
    dead_lettered: int = 0
    lost: int = 0
    stored: int = 0
    in_flight: int = 0

    @property
    def balanced(self) -> bool:
        """True when every event taken is in exactly one term."""
        taken = self.accepted + self.adopted + self.replayed
        return taken == self.delivered + self.dead_lettered + self.lost + self.stored + self.in_flight


class Stats(Terms, frozen=True, kw_only=True):
    """A publisher's counters, read at one moment. They only grow, but for ``stored`` and ``in_flight``.

    Outside the invariant: ``rejected`` (publish() refused it), ``rejected_by`` (the same by the code of the
    error: ``KAFKA_RATE_LIMITED`` …), ``shed`` (of these, what was refused to keep room for events of a higher
    priority, by priority), ``discarded`` (taken by a disabled publisher), ``retried`` (hand-overs beyond the
    first), ``unprotected`` (a failing store has no copy of them), ``under_way`` (events under way by topic,
    where BULKHEAD has a cap), ``breakers`` (topics that take nothing, and why), ``dead_letter_queue_size``
    (letters held here), ``is_closed``, and ``failed``: the engine has stopped for good.
    """

    rejected: int = 0
    rejected_by: dict[str, int] = {}
    shed: dict[str, int] = {}
    discarded: int = 0
    retried: int = 0
    unprotected: int = 0
    under_way: dict[str, int] = {}
    breakers: dict[str, str] = {}
    dead_letter_queue_size: int = 0
    is_closed: bool = False
    failed: bool = False


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``Publisher.find()``: where an event is.

    ``place`` is ``in_flight``, ``stored``, ``dead_lettered`` (``reason`` says why, ``letter_id`` which
    letter), ``delivered`` (with ``partition`` and ``offset``), ``lost`` or ``not_found``: never accepted
    here, or expired, which looks the same. ``message`` says it in a sentence, and what could not be asked.
    """

    event_id: str
    place: str
    message: str
    topic: str | None = None
    partition: int = -1
    offset: int = -1
    reason: str | None = None
    letter_id: str | None = None

    def __bool__(self) -> bool:
        return self.place != "not_found"


class CloseReport(Terms, frozen=True, kw_only=True):
    """The invariant's terms when close() returned: ``in_flight`` is 0, ``lost`` says what was given up."""

    duration: float = 0.0
    """Seconds close() took."""


class HealthStatus(StrEnum):
    """``healthy``: Kafka answers. ``degraded``: events are safe, but not moving. ``unhealthy``: neither."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``Publisher.health()``. True only when healthy; ``ready`` also when degraded.

    ``cause`` is a stable word (``healthy``, ``refused``, ``untrusted_certificate`` …), ``message`` says in
    a sentence what is wrong and what to do, and never holds a secret.
    """

    status: HealthStatus
    cause: str
    message: str

    @property
    def ok(self) -> bool:
        """True only when healthy."""
        return self.status is HealthStatus.HEALTHY

    @property
    def ready(self) -> bool:
        """True when events can be taken without risk: healthy or degraded."""
        return self.status is not HealthStatus.UNHEALTHY

    def __bool__(self) -> bool:
        return self.ok

    def raise_if_unhealthy(self) -> None:
        """Raise BrokersUnavailable when the status is unhealthy."""
        if not self.ready:
            raise BrokersUnavailable(self.message)
