"""The envelope: what is around an event, as a value to build, publish, decode and look at."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Envelope(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """An event and what is known of it. ``publish`` takes one in place of a payload.

    ``data`` is the payload: an instance of a declared class, or what JSON gives (a dict, as a rule; bytes
    where the record was no JSON). ``event_type`` is None only where a decoded record names none.
    ``timestamp`` has a time zone. What is None when it is published is filled in: ``event_id`` by a new
    UUIDv7, ``timestamp`` by now, ``source`` by SERVICE, ``version`` by the class's or VERSION,
    ``correlation_id`` by the context's or the event's own id. ``causation_id`` is the id of the event that
    led to this one. ``extensions`` are further fields, written beside the others (in CloudEvents:
    extension attributes). Immutable: any thread.
    """

    data: T
    event_type: str | None = None
    event_id: str | None = None
    timestamp: datetime | None = None
    source: str | None = None
    version: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    extensions: dict[str, Any] = {}

    def but(
        self, event_type: str | None = None, event_id: str | None = None, correlation_id: str | None = None
    ) -> Envelope[T]:
        """This envelope, with what is given here in place of its own."""
        given = {"event_type": event_type, "event_id": event_id, "correlation_id": correlation_id}
        changes = {name: value for name, value in given.items() if value is not None}
        return msgspec.structs.replace(self, **changes) if changes else self

    def extra(self) -> dict[str, Any]:
        """What this envelope has beyond what every envelope has, by the names on the wire."""
        if self.causation_id is None:
            return self.extensions
        return {"causation_id": self.causation_id, **self.extensions}
