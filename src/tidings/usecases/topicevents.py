"""The events of one topic: checked and produced, and consumed by handlers that share them by their types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tidings.consuming.handlers import Handler, handler_of
from tidings.consuming.message import Message
from tidings.consuming.repository import EventRepository
from tidings.consuming.retries import RetryPolicy
from tidings.consuming.verdicts import Reject
from tidings.errors import ConfigError, DecodeError, InvalidEvent
from tidings.events.declare import declaration_of
from tidings.events.envelope import Envelope
from tidings.events.readers import converter_for
from tidings.publishing.entry import Delivery


class TopicEvents:
    """What UserEvents and TranslationEvents have in common: a topic, and the classes of its events, which are
    keyed by the field ``key``."""

    def __init__(self, repository: EventRepository, topic: str, key: str, classes: Sequence[type]) -> None:
        self._repository = repository
        self._topic = topic
        self._key = key
        declared = [(declaration_of(cls), cls) for cls in classes]
        self._classes = {found.event_type: cls for found, cls in declared if found is not None}

    def _produce(self, event_type: str, fields: dict[str, Any], correlation_id: str | None) -> Delivery:
        """Send one event of these fields; those that are None are left out."""
        cls: Any = self._classes.get(event_type) if isinstance(event_type, str) else None
        if cls is None:
            raise InvalidEvent(f"{event_type!r} is none of {', '.join(self._classes)}.")
        given = {name: value for name, value in fields.items() if value is not None}
        if strange := given.keys() - set(cls.__struct_fields__):
            raise InvalidEvent(f"{event_type} has no {', '.join(sorted(strange))}.")
        if given.get(self._key, "") == "":
            raise InvalidEvent(f"{event_type} needs a {self._key}: it is the key that keeps events in order.")
        try:
            data = msgspec.convert(given, cls)
        except msgspec.ValidationError as error:
            fault = f"{event_type}: {error}"
        else:
            event = Envelope(data=data, event_type=event_type, correlation_id=correlation_id)
            return self._repository.send_message(self._topic, given[self._key], event)
        raise InvalidEvent(fault)

    def _consume(self, handlers: Sequence[Callable[[Any], Any]]) -> None:
        """Subscribe them together. Raises ConfigError."""
        if not handlers:
            raise ConfigError("Give one handler at least.")
        made = [handler_of(fn, policy=RetryPolicy(), timeout=1.0) for fn in handlers]
        if len({handler.is_async for handler in made}) > 1:
            raise ConfigError("Some of these handlers are async and some are not: make them alike.")
        by_type = self._by_type(made)

        def dispatch(message: Message) -> None:  # type: ignore[type-arg]
            if (handler := by_type.get(message.event_type or "")) is not None:
                handler.fn(_argument(handler, message))

        async def dispatch_async(message: Message) -> None:  # type: ignore[type-arg]
            if (handler := by_type.get(message.event_type or "")) is not None:
                await handler.fn(_argument(handler, message))

        chosen = dispatch_async if made[0].is_async else dispatch
        # Letters and logs name the functions that the application gave, not this one.
        chosen.__module__, chosen.__qualname__ = (
            type(self).__module__,
            f"{type(self).__qualname__}: " + ", ".join(handler.name for handler in made),
        )
        self._repository.subscribe(self._topic, chosen)

    def _by_type(self, made: list[Handler]) -> dict[str, Handler]:
        """Whose is which type: those annotated with an event's class get that one, another gets the rest."""
        found: dict[str, Handler] = {}
        others: list[Handler] = []
        for handler in made:
            declared = declaration_of(handler.data_type) if handler.data_type is not None else None
            if declared is None:
                others.append(handler)
                continue
            name = declared.event_type
            if name not in self._classes:
                raise ConfigError(
                    f"{handler.name} is annotated for {name!r}, which is none of {', '.join(self._classes)}."
                )
            if name in found:
                raise ConfigError(f"{found[name].name} and {handler.name} are both for {name!r}.")
            found[name] = handler
        if len(others) > 1:
            names = " and ".join(handler.name for handler in others)
            raise ConfigError(f"{names} are both for every type: annotate them with the events' classes.")
        rest = [name for name in self._classes if name not in found]
        if others and not rest:
            raise ConfigError(f"No type is left for {others[0].name}.")
        return found | {name: handler for handler in others for name in rest}


def _argument(handler: Handler, message: Message[Any]) -> Any:
    """What the handler is called with. Raises Reject where the data is not what it takes."""
    data = message.data
    if handler.data_type is not None:
        try:
            data = converter_for(handler.data_type)(data)
        except DecodeError as error:
            fault = str(error.args[0])
        else:
            return msgspec.structs.replace(message, data=data) if handler.wants_message else data
        raise Reject(fault)
    return message if handler.wants_message else data
