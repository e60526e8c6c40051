"""Declaring events: @event ties a class to an event type, a topic, a key and a version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from tidings.errors import ConfigError, InvalidTopic
from tidings.events.codec import field_names
from tidings.events.keys import KeyOf, key_reader
from tidings.events.routing import check_topic

C = TypeVar("C", bound=type)
_ATTRIBUTE = "__tidings_event__"


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """What @event said of a class. ``topic``, ``key_of`` and ``version`` are None where it said nothing."""

    event_type: str
    topic: str | None
    key_of: KeyOf | None
    version: str | None


class Registry:
    """The event types one application knows. ``@event`` uses a registry of its own for the process.

    Declaring is done at import time, on one thread; reading is safe from any.
    """

    def __init__(self) -> None:
        self.types: dict[str, type] = {}

    def event(
        self,
        event_type: str,
        *,
        topic: str | None = None,
        key: str | Callable[[Any], object] | None = None,
        version: str | None = None,
    ) -> Callable[[C], C]:
        """Declare a msgspec.Struct, a pydantic v2 model or a dataclass as an event.

        ``event_type`` names it on the wire (``order.placed``). ``topic`` is where it goes unless a topic
        mapping or the call says otherwise. ``key`` is a field's name, a dotted path (``customer.id``) or a
        function of the event; equal keys keep their order. ``version`` is the schema version in the
        envelope (default: VERSION).

        Raises ConfigError, naming the class, when the declaration cannot be right: no such field, an
        impossible topic, a class of another kind, or an event type that another class already has. The
        same module and qualified name replaces (reload, notebooks).
        """

        def declare(cls: C) -> C:
            where = f"@event({event_type!r}) on {cls.__module__}.{cls.__qualname__}"
            declaration = _checked(where, cls, event_type, topic, key, version)
            self._claim(where, event_type, cls)
            setattr(cls, _ATTRIBUTE, declaration)
            return cls

        return declare

    def _claim(self, where: str, event_type: str, cls: type) -> None:
        known = self.types.get(event_type)
        if known and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ConfigError(f"{where}: {known.__module__}.{known.__qualname__} already has this event type")
        self.types[event_type] = cls


default_registry: Final = Registry()
event: Final = default_registry.event


def declaration_of(cls: type) -> Declaration | None:
    """What @event said of this very class; a base class's declaration does not count."""
    found: Declaration | None = cls.__dict__.get(_ATTRIBUTE)
    return found


def _checked(
    where: str,
    cls: type,
    event_type: str,
    topic: str | None,
    key: str | Callable[[Any], object] | None,
    version: str | None,
) -> Declaration:
    if not isinstance(event_type, str) or not event_type or not event_type.isprintable():
        raise ConfigError(f"{where}: an event type is a printable string that is not empty")
    fields = field_names(cls) if isinstance(cls, type) else None
    if fields is None:
        raise ConfigError(f"{where}: an event is a msgspec.Struct, a pydantic v2 model or a dataclass")
    if topic is not None:
        try:
            check_topic(topic)
        except InvalidTopic as error:
            raise ConfigError(f"{where}: {error}") from None
    if isinstance(key, str):
        if key.partition(".")[0] not in fields:
            raise ConfigError(f"{where}: key {key!r} is not one of its fields: {', '.join(fields)}")
    elif key is not None and not callable(key):
        raise ConfigError(f"{where}: key is a {type(key).__qualname__}; it is a field's name or a function")
    if version is not None and not (isinstance(version, str) and version.isprintable()):
        raise ConfigError(f"{where}: version {version!r} is not a printable string")
    return Declaration(
        event_type=event_type,
        topic=topic,
        key_of=None if key is None else key_reader(key),
        version=version,
    )
