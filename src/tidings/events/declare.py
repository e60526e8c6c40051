"""Declaring events: @event ties a class to an event type, a topic, a key and a version."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar, get_args

import msgspec

from tidings.errors import ConfigError, InvalidTopic
from tidings.events.fields import declared_fields, missing_step
from tidings.events.keys import KeyOf, key_reader
from tidings.events.payloads.marks import Mark, changes_wire, leaves_out
from tidings.events.privacy import check_marks, hide_in_repr, mark_of, value_on_wire
from tidings.events.routing import check_topic

C = TypeVar("C", bound=type)
Priority = Literal["low", "normal", "high"]
"""What comes last, and what first, when room runs short (SHEDDING)."""
_ATTRIBUTE = "__tidings_event__"
_ENTITY_ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """What @event said of a class. ``topic``, ``key`` and ``version`` are None where it said nothing."""

    event_type: str
    topic: str | None
    key: str | Callable[[Any], object] | None
    version: str | None
    priority: Priority = "normal"
    key_mark: Mark | None = None
    """What the field that is the key is marked as."""

    def key_of(self, *, of_dicts: bool = False) -> KeyOf | None:
        """A function that reads the key of an event of this type, or of a dict in its place.

        Where the wire carries something else for a Personal field, so does the key.
        """
        if self.key is None:
            return None
        read, mark = key_reader(self.key, of_dicts=of_dicts), self.key_mark
        if mark is None or not changes_wire(mark):
            return read
        return lambda event: value_on_wire(mark, read(event))


class Registry:
    """The event types one application knows. ``@event`` uses a registry of its own for the process.

    With ``entity_action`` every event type must read like ``order.placed``: an entity, then what happened
    to it, in lower case. Declaring is done at import time, on one thread; reading is safe from any.
    """

    def __init__(self, *, entity_action: bool = False) -> None:
        self._types: dict[str, type] = {}
        self._entity_action = entity_action

    @property
    def types(self) -> Mapping[str, type]:
        """The declared classes by event type, to be read."""
        return MappingProxyType(self._types)

    def event(
        self,
        event_type: str,
        *,
        topic: str | None = None,
        key: str | Callable[[Any], object] | None = None,
        version: str | None = None,
        priority: Priority = "normal",
    ) -> Callable[[C], C]:
        """Declare a msgspec.Struct, a pydantic v2 model, a dataclass or a TypedDict as an event.

        ``event_type`` names it on the wire (``order.placed``). ``topic`` is where it goes unless a topic
        mapping or the call says otherwise. ``key`` is a field's name, a dotted path (``customer.id``) or a
        function of the event; equal keys keep their order. ``version`` is the schema version in the
        envelope (default: VERSION). ``priority`` (``low``, ``normal``, ``high``) says which events are
        refused first when room runs short, where SHEDDING is on. Instances of a TypedDict are plain dicts:
        publish them with ``event_type=``, to a Publisher of this registry.

        Raises ConfigError, naming the class, when the declaration cannot be right: no such field, an
        impossible topic, a class of another kind, or an event type that another class already has. The
        same module and qualified name replaces (reload, notebooks).
        """

        def declare(cls: C) -> C:
            where = f"@event({event_type!r}) on {cls.__module__}.{cls.__qualname__}"
            declaration = _checked(where, cls, event_type, topic, key, version, priority)
            if self._entity_action and not _ENTITY_ACTION.fullmatch(event_type):
                raise ConfigError(f"{where}: this registry asks for entity.action, such as order.placed")
            self._claim(where, event_type, cls)
            hide_in_repr(cls)
            setattr(cls, _ATTRIBUTE, declaration)
            return cls

        return declare

    def _claim(self, where: str, event_type: str, cls: type) -> None:
        known = self._types.get(event_type)
        if known and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ConfigError(f"{where}: {known.__module__}.{known.__qualname__} already has this event type")
        self._types[event_type] = cls


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
    priority: Priority,
) -> Declaration:
    if not isinstance(event_type, str) or not event_type or not event_type.isprintable():
        raise ConfigError(f"{where}: an event type is a printable string that is not empty")
    if not isinstance(cls, type) or declared_fields(cls) is None:
        raise ConfigError(
            f"{where}: an event is a msgspec.Struct, a pydantic v2 model, a dataclass or a TypedDict"
        )
    if topic is not None:
        try:
            check_topic(topic)
        except InvalidTopic as error:
            raise ConfigError(f"{where}: {error}") from None
    key_mark = None
    if isinstance(key, str):
        if wrong := missing_step(cls, key):
            raise ConfigError(f"{where}: key {key!r}: {wrong}")
        key_mark = mark_of(cls, key)
        if leaves_out(key_mark):
            raise ConfigError(f"{where}: key {key!r} never reaches the wire, as it is marked")
    elif key is not None and not callable(key):
        raise ConfigError(f"{where}: key is a {type(key).__qualname__}; it is a field's name or a function")
    if version is not None and not (isinstance(version, str) and version.isprintable()):
        raise ConfigError(f"{where}: version {version!r} is not a printable string")
    if priority not in get_args(Priority):
        raise ConfigError(f"{where}: priority {priority!r} is none of {', '.join(get_args(Priority))}")
    check_marks(cls)
    return Declaration(
        event_type=event_type, topic=topic, key=key, version=version, priority=priority, key_mark=key_mark
    )
