"""EventBuilder: payloads into envelopes, for code that passes events on before they are published."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from tidings.errors import InvalidEvent
from tidings.events.correlation import current_correlation_id
from tidings.events.declare import declaration_of
from tidings.events.envelope import Envelope
from tidings.events.ids import new_id

T = TypeVar("T")


class EventBuilder(msgspec.Struct, frozen=True):
    """Builds envelopes with everything filled in, as ``publish`` would do it.

    ``service`` becomes the ``source``; ``version`` is the schema version of payloads whose class declares
    none. Immutable: ``with_correlation_id`` and ``caused_by`` return new builders. Any thread.
    """

    service: str
    version: str = "1.0"
    correlation_id: str | None = None
    causation_id: str | None = None

    def with_correlation_id(self, correlation_id: str) -> EventBuilder:
        """A builder whose envelopes carry this correlation id, whatever the context says."""
        return msgspec.structs.replace(self, correlation_id=correlation_id)

    def with_causation_id(self, causation_id: str) -> EventBuilder:
        """A builder whose envelopes name this event as what led to them."""
        return msgspec.structs.replace(self, causation_id=causation_id)

    def caused_by(self, envelope: Envelope[Any]) -> EventBuilder:
        """A builder for what follows from ``envelope``: its correlation id, and its event id as the cause."""
        return msgspec.structs.replace(
            self, correlation_id=envelope.correlation_id, causation_id=envelope.event_id
        )

    def build(
        self,
        payload: T,
        *,
        event_type: str | None = None,
        event_id: str | None = None,
        timestamp: datetime | None = None,
    ) -> Envelope[T]:
        """The envelope of ``payload``: an instance of an @event class, or anything with an ``event_type``.

        The correlation id is the builder's, else the context's, else the event's own id. Raises InvalidEvent
        where there is no event type.
        """
        declaration = declaration_of(type(payload))
        if event_type is None:
            if declaration is None:
                raise InvalidEvent(
                    f"{type(payload).__qualname__} is not a declared event: name an event_type"
                )
            event_type = declaration.event_type
        event_id = new_id() if event_id is None else event_id
        return Envelope(
            data=payload,
            event_type=event_type,
            event_id=event_id,
            timestamp=datetime.now(UTC) if timestamp is None else timestamp,
            source=self.service,
            version=(declaration and declaration.version) or self.version,
            correlation_id=self.correlation_id or current_correlation_id() or event_id,
            causation_id=self.causation_id,
        )
