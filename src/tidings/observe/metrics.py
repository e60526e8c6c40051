"""Which numbers are told of publishers and consumers, under which names: tables, read from their stats.

Names are dotted, as OpenTelemetry has them; for Prometheus dots become underscores, and counters end in
``_total``. A series belongs to a publisher's CLIENT_ID or a consumer's group, and to a topic only where the
topics are few by their nature: those whose breaker is open, those that a consumer reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from tidings.consuming.states import ConsumerStats, ManagedStats
from tidings.states import Stats

Kind = Literal["counter", "gauge"]
Place = Literal["both", "prometheus", "otel"]
By = Literal["topic", "code", "priority"]
Attributes = tuple[tuple[str, str], ...]


class Metric(msgspec.Struct, frozen=True):
    """One number. ``read`` gives it for a source's stats: an int, or a dict of them ``by`` topic and such."""

    name: str
    kind: Kind
    help: str
    read: Callable[[Any], int | dict[str, int]]
    unit: str = "{event}"
    by: By | None = None
    place: Place = "both"
    attributes: Attributes = ()
    """What OpenTelemetry's conventions want besides."""

    @property
    def prometheus_name(self) -> str:
        """The name of its family: without ``_total``."""
        return self.name.replace(".", "_")


def _counter(
    name: str, help: str, read: Callable[[Any], int], place: Place = "both", attributes: Attributes = ()
) -> Metric:
    return Metric(name, "counter", help, read, place=place, attributes=attributes)


def _gauge(name: str, help: str, read: Callable[[Any], int], unit: str = "{event}") -> Metric:
    return Metric(name, "gauge", help, read, unit)


def _by_topic(name: str, help: str, read: Callable[[Any], dict[str, int]], unit: str) -> Metric:
    return Metric(name, "gauge", help, read, unit, by="topic")


def _open_breakers(stats: Stats) -> dict[str, int]:
    return dict.fromkeys(stats.breakers, 1)


def _lag(stats: ConsumerStats) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (topic, _), partition in stats.partitions.items():
        if partition.lag is not None:
            found[topic] += partition.lag
    return found


def _restarts(stats: ConsumerStats) -> int:
    return stats.restarts if isinstance(stats, ManagedStats) else 0


def _partitions(stats: ConsumerStats) -> dict[str, int]:
    return Counter(topic for topic, _ in stats.partitions)


_SEND: Final = (("messaging.system", "kafka"), ("messaging.operation.name", "send"))
_PROCESS: Final = (("messaging.system", "kafka"), ("messaging.operation.name", "process"))
_SENT: Final = "messaging.client.sent.messages"
_SENT_HELP: Final = "Events whose sending ended: delivered, or with an error.type."
_SENT_ENDS: Final[tuple[tuple[str, Callable[[Stats], int]], ...]] = (
    ("dead_lettered", lambda it: it.dead_lettered),
    ("lost", lambda it: it.lost),
)

PUBLISHER: Final = (
    _counter("kafka.messages.sent", "Events that Kafka acknowledged.", lambda it: it.delivered, "prometheus"),
    _counter(
        "kafka.messages.failed",
        "Events that were accepted and not delivered: dead-lettered or lost.",
        lambda it: it.dead_lettered + it.lost,
        "prometheus",
    ),
    Metric(
        "kafka.dead_letter_queue_size",
        "gauge",
        "Letters held here, not yet on the dead-letter topic.",
        lambda it: it.dead_letter_queue_size,
    ),
    _counter(
        "kafka.retry_attempts",
        "Hand-overs to the Kafka client beyond an event's first.",
        lambda it: it.retried,
    ),
    _counter(_SENT, _SENT_HELP, lambda it: it.delivered, "otel", _SEND),
    *(
        _counter(_SENT, _SENT_HELP, read, "otel", (*_SEND, ("error.type", error)))
        for error, read in _SENT_ENDS
    ),
    _counter("tidings.accepted", "Events that publish() took.", lambda it: it.accepted),
    _counter("tidings.adopted", "Events taken over from processes that are gone.", lambda it: it.adopted),
    _counter("tidings.replayed", "Letters sent again on a person's word.", lambda it: it.replayed),
    _counter("tidings.delivered", "Events that Kafka acknowledged.", lambda it: it.delivered),
    _counter("tidings.dead_lettered", "Events that became letters.", lambda it: it.dead_lettered),
    _counter("tidings.lost", "Events that are gone.", lambda it: it.lost),
    _counter("tidings.rejected", "Events that publish() refused.", lambda it: it.rejected),
    Metric(
        "tidings.rejected_by_code",
        "counter",
        "Events that publish() refused, by the error's code.",
        lambda it: it.rejected_by,
        by="code",
    ),
    Metric(
        "tidings.shed",
        "counter",
        "Events refused to keep room for those of a higher priority, by their own.",
        lambda it: it.shed,
        by="priority",
    ),
    _counter("tidings.discarded", "Events that a disabled publisher took.", lambda it: it.discarded),
    _gauge("tidings.stored", "Events that only the store has.", lambda it: it.stored),
    _gauge("tidings.in_flight", "Events accepted and not ended or stored.", lambda it: it.in_flight),
    _gauge("tidings.unprotected", "Events of which a failing store has no copy.", lambda it: it.unprotected),
    _gauge("tidings.failed", "Publishers that have stopped for good.", lambda it: it.failed, "{publisher}"),
    _by_topic(
        "tidings.under_way",
        "Events under way, where BULKHEAD has a cap.",
        lambda it: it.under_way,
        "{event}",
    ),
    _by_topic("tidings.breaker_open", "1 for a topic that takes no events.", _open_breakers, "{topic}"),
)

CONSUMER: Final = (
    _counter(
        "messaging.client.consumed.messages",
        "Events that were handled.",
        lambda it: it.handled,
        "otel",
        _PROCESS,
    ),
    _counter("tidings.consumer.handled", "Events whose handler returned.", lambda it: it.handled),
    _counter("tidings.consumer.failed", "Calls of handlers that raised.", lambda it: it.failed),
    _counter(
        "tidings.consumer.retried", "Failed calls that were followed by another.", lambda it: it.retried
    ),
    _counter("tidings.consumer.dead_lettered", "Letters that Kafka has.", lambda it: it.dead_lettered),
    _counter("tidings.consumer.skipped", "Events that no handler is for.", lambda it: it.skipped),
    _counter("tidings.consumer.undecodable", "Records without an event in them.", lambda it: it.undecodable),
    _counter(
        "tidings.consumer.expired_unread",
        "Records that retention removed before they were read.",
        lambda it: it.expired_unread,
    ),
    _counter("tidings.consumer.duplicates", "Events left out because of dedup.", lambda it: it.duplicates),
    _counter("tidings.consumer.restarts", "Lives after the first, under a Manager.", _restarts),
    _gauge(
        "tidings.consumer.letters_waiting",
        "Letters that Kafka does not have yet.",
        lambda it: it.letters_waiting,
    ),
    _gauge("tidings.consumer.running", "Consumers that run.", lambda it: it.is_running, "{consumer}"),
    _by_topic("tidings.consumer.lag", "Records of our partitions that are not finished.", _lag, "{event}"),
    _by_topic("tidings.consumer.partitions", "Partitions that are ours.", _partitions, "{partition}"),
)
