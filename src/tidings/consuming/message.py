"""Message: an event as a handler gets it, with all that is known of it and its place in Kafka."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from tidings.events.times import read_moment

T = TypeVar("T")
Pair = tuple[str, bytes | None]


class Record(Protocol):
    """A record as it was read (confluent_kafka.Message has this shape)."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> list[Pair] | None: ...
    def timestamp(self) -> tuple[int, int]: ...
    def __len__(self) -> int: ...


class Around(Protocol):
    """What is around the data of an event: an Envelope, or the like."""

    @property
    def event_id(self) -> str | None: ...
    @property
    def correlation_id(self) -> str | None: ...
    @property
    def timestamp(self) -> Any: ...
    @property
    def source(self) -> str | None: ...
    @property
    def version(self) -> Any: ...


class Message(msgspec.Struct, Generic[T], gc=False, eq=False):
    """An event and its place. ``data`` is a T where the handler's annotation says ``Message[T]``, and what
    JSON gives (a dict, as a rule) for a bare ``Message``.

    Only to be read. Any thread; it may be kept after the handler returned.
    """

    data: T
    event_type: str | None
    """None where the record names none."""
    attempt: int
    """From 1: how often this process has handed the event to this handler, this time included."""
    _around: Around
    _record: Record

    @property
    def event_id(self) -> str | None:
        """The event's id; the same in every duplicate."""
        return self._around.event_id

    @property
    def correlation_id(self) -> str | None:
        """The id that its publisher gave to the work it is part of."""
        return self._around.correlation_id

    @property
    def timestamp(self) -> datetime | None:
        """When it happened, says its publisher: UTC. None where that is missing, or no time."""
        return read_moment(self._around.timestamp)

    @property
    def source(self) -> str | None:
        """The service that published it."""
        return self._around.source

    @property
    def version(self) -> str | None:
        """The schema version of its data."""
        version = self._around.version
        return None if version is None else str(version)

    @property
    def key(self) -> bytes | None:
        """The record's key, as bytes."""
        return self._record.key()

    @property
    def value(self) -> bytes | None:
        """The record's value, as it was read."""
        return self._record.value()

    @property
    def headers(self) -> list[Pair]:
        """The record's headers, in their order."""
        return self._record.headers() or []

    @property
    def topic(self) -> str:
        """Where it was read."""
        return self._record.topic()

    @property
    def partition(self) -> int:
        """The partition of that topic."""
        return self._record.partition()

    @property
    def offset(self) -> int:
        """The offset in that partition."""
        return self._record.offset()

    @property
    def record_timestamp(self) -> datetime | None:
        """Kafka's time of the record, UTC: when it was made, or appended, as the topic has it."""
        kind, ms = self._record.timestamp()
        return datetime.fromtimestamp(ms / 1000, UTC) if kind else None

    def __repr__(self) -> str:
        return (
            f"<Message {self.event_type!r} {self.event_id!r} at "
            f"{self.topic}[{self.partition}]@{self.offset}, attempt {self.attempt}>"
        )


def event_id_of(record: Record) -> str | None:
    """The id in a record's headers, for people; None where there is none."""
    found = dict(record.headers() or ()).get("event_id")
    return None if found is None else found.decode(errors="replace")


def place_of(record: Record) -> str:
    """Where a record was read, for people."""
    return f"{record.topic()}[{record.partition()}]@{record.offset()}"
