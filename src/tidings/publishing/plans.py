"""Plans: everything about publishing one kind of event that does not change from event to event."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.errors import InvalidEvent
from tidings.events.codec import field_names, to_json
from tidings.events.declare import Declaration, declaration_of
from tidings.events.encoders import Encoder, encoder_for
from tidings.events.envelope import Envelope
from tidings.events.keys import KeyOf
from tidings.events.routing import Router


class Plan(msgspec.Struct, frozen=True):
    """How events of one class and type are encoded, framed, keyed and routed."""

    topic: str
    envelope: Envelope
    encoder: Encoder
    key_of: KeyOf


class Plans:
    """Makes plans from declarations. Safe from any thread: what it makes depends on its arguments alone."""

    def __init__(self, router: Router, source: str, version: str) -> None:
        self._router = router
        self._source = source
        self._version = version

    def make(self, cls: type, event_type: str | None) -> Plan:
        """The plan of a declared class, or of any payload under the ``event_type`` given.

        Raises InvalidEvent when the class is not declared and no event type was given.
        """
        declaration = declaration_of(cls)
        if event_type is None:
            if declaration is None:
                raise InvalidEvent(
                    f"{cls.__module__}.{cls.__qualname__} is not a declared event: "
                    "put @event on it, or name an event_type"
                )
            event_type = declaration.event_type
        elif not isinstance(event_type, str) or not event_type or not event_type.isprintable():
            raise InvalidEvent("event_type is a printable string that is not empty")
        return self._plan(cls, event_type, declaration)

    def _plan(self, cls: type, event_type: str, declaration: Declaration | None) -> Plan:
        typed = field_names(cls) is not None
        return Plan(
            topic=self._router.topic_for(event_type, declaration.topic if declaration else None),
            envelope=Envelope(
                event_type, self._source, (declaration and declaration.version) or self._version
            ),
            encoder=encoder_for(cls) if typed else Encoder(to_json),
            key_of=(declaration and declaration.key_of) or _no_key,
        )


def _no_key(_: Any) -> None:
    return None
