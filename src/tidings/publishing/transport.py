"""The contract between the engine and whatever carries the records: Kafka, or a test's memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from tidings.states import Health

if TYPE_CHECKING:
    from tidings.kafka.search import Search


class Record(Protocol):
    """Where a delivered record went (confluent_kafka.Message has this shape)."""

    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def timestamp(self) -> tuple[int, int]: ...


class Fault(Protocol):
    """Why a record was not delivered (confluent_kafka.KafkaError has this shape)."""

    def name(self) -> str: ...
    def str(self) -> str: ...


Report = Callable[[Fault | None, Record], None]
"""Called once for every record that ``produce`` took, from inside ``poll``."""


def words_of(fault: Fault | None, error: Exception) -> tuple[str, str]:
    """Kafka's name of an error and its words, also where it is none of Kafka's."""
    return ("UNKNOWN", repr(error)) if fault is None else (fault.name(), fault.str())


class Transport(Protocol):
    """Carries records and reports on each of them exactly once.

    ``produce(topic, value, key, partition, report, None, timestamp_ms, headers)`` is called with
    positional arguments only (a fifth faster than keywords in confluent-kafka), from any thread; it
    returns at once or raises. ``poll`` is never called by two threads at a time.
    """

    @property
    def produce(self) -> Callable[..., None]: ...

    def refusal(self, error: Exception) -> Fault | None:
        """The fault behind an exception that ``produce`` or ``poll`` raised; None if it is not theirs."""

    def poll(self, timeout: float) -> int:
        """Serve reports for up to ``timeout`` seconds, fewer when some came; how many were served."""

    def flush(self, timeout: float) -> int:
        """The same without lingering; how many records are still out."""

    def purge(self) -> None:
        """Give up every record still out; their reports come with the next polls."""

    def close(self) -> None:
        """Let go of everything, at once. Nothing may be called afterwards."""

    def __len__(self) -> int:
        """How many records are out: taken, and not reported on."""

    def careful(self) -> Transport:
        """A second transport to the same place, whose records travel alone: its verdicts are about one event.
        The caller closes it."""

    def health(self, timeout: float) -> Health:
        """Can records be delivered now? Asks, for up to ``timeout`` seconds. Raises nothing."""

    def find(self, topic: str, event_id: str, since: datetime | int | None, timeout: float) -> Search:
        """Look for the record of ``topic`` with this event_id, for up to ``timeout`` seconds."""
