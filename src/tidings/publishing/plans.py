"""Plans: everything about publishing one kind of event that does not change from event to event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from tidings.errors import InvalidEvent
from tidings.events.cloudevents import BinaryFrame, structured_frame
from tidings.events.codec import to_json
from tidings.events.declare import Declaration, Priority, Registry, declaration_of
from tidings.events.encoders import Encoder, encoder_for
from tidings.events.envelope import Envelope
from tidings.events.fields import declared_fields
from tidings.events.frame import Framing, json_frame
from tidings.events.keys import KeyOf, encode_key, no_key
from tidings.events.routing import Router

_FRAMES: Final[Mapping[str, Callable[[str, str, str], Framing]]] = {
    "json": json_frame,
    "cloudevents": structured_frame,
    "cloudevents-binary": BinaryFrame,
}


_MOST_FRAMES = 1024


class Plan(msgspec.Struct, frozen=True):
    """How events of one class and type are encoded, framed, keyed and routed."""

    event_type: str
    version: str
    topic: str
    frame: Framing
    encoder: Encoder
    key_of: KeyOf
    key_field: str | None
    """The field, or the path, that the key is read from; None for a function, and without a key."""
    priority: Priority

    def key(self, event: object) -> bytes | None:
        """The record's key. Raises InvalidEvent, also where the field that is the key is None."""
        key = encode_key(self.key_of(event))
        if key is None and self.key_field is not None:
            raise no_key(self.key_field)
        return key


class Plans:
    """Makes plans from declarations. Safe from any thread: what it makes depends on its arguments alone.

    ``registry`` is where the types of plain dicts are looked up; after it, the catalogue.
    """

    def __init__(self, router: Router, registry: Registry, source: str, version: str, form: str) -> None:
        self._router = router
        self._registry = registry
        self._source = source
        self._version = version
        self._frame: Callable[[str, str, str], Framing] = lru_cache(_MOST_FRAMES)(_FRAMES[form])

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
        if issubclass(cls, dict):
            return self._plan_of_dicts(event_type)
        key_of = declaration.key_of() if declaration is not None else None
        return self._plan(event_type, declaration or self._declaration(event_type), _encoder(cls), key_of)

    def declared(self, event_type: str) -> type | None:
        """The class declared for this type, by the application or in the catalogue."""
        if known := self._registry.types.get(event_type):
            return known
        from tidings.events.catalogue import registry  # noqa: PLC0415 - 3 ms, and few publish dicts

        return registry.types.get(event_type)

    def _declaration(self, event_type: str) -> Declaration | None:
        return declaration_of(self.declared(event_type) or object)

    def topic_for(self, event_type: str) -> str:
        """The topic events of this type go to, unless a call names another."""
        declaration = self._declaration(event_type)
        return self._router.topic_for(event_type, declaration.topic if declaration else None)

    def frame_of(self, envelope: Envelope[Any], plan: Plan) -> Framing:
        """The frame for the source and the version that this envelope names, if it does."""
        return self._frame(plan.event_type, envelope.source or self._source, envelope.version or plan.version)

    def _plan_of_dicts(self, event_type: str) -> Plan:
        """Dicts go where their declared type goes, and a TypedDict's are checked like any other event."""
        cls = self.declared(event_type) or object
        declaration = declaration_of(cls)
        typed = issubclass(cls, dict)
        # A key function takes an instance of its class, which a dict in its place is not.
        has_key = declaration and (typed or isinstance(declaration.key, str))
        key_of = declaration.key_of(of_dicts=True) if declaration and has_key else None
        return self._plan(event_type, declaration, _encoder(cls if typed else dict), key_of)

    def _plan(
        self, event_type: str, declaration: Declaration | None, encoder: Encoder, key_of: KeyOf | None
    ) -> Plan:
        version = (declaration and declaration.version) or self._version
        return Plan(
            event_type=event_type,
            version=version,
            topic=self._router.topic_for(event_type, declaration.topic if declaration else None),
            frame=self._frame(event_type, self._source, version),
            encoder=encoder,
            key_of=key_of or _no_key,
            key_field=_field(declaration) if key_of else None,
            priority=declaration.priority if declaration else "normal",
        )


def _encoder(cls: type) -> Encoder:
    return Encoder(to_json) if declared_fields(cls) is None else encoder_for(cls)


def _field(declaration: Declaration | None) -> str | None:
    return declaration.key if declaration is not None and isinstance(declaration.key, str) else None


def _no_key(_: Any) -> None:
    return None
