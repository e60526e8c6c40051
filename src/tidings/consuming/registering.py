"""Registering handlers: on(), subscribe(), on_batch(); and which topics they need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from tidings.consuming.functions import called
from tidings.consuming.handlers import Handlers, handler_of
from tidings.consuming.retries import is_whole
from tidings.consuming.terms import Terms, checked_terms
from tidings.errors import ConfigError, InvalidTopic
from tidings.events.declare import Registry
from tidings.events.routing import Router, topics_by_setting
from tidings.letters.naming import dlq_topic
from tidings.publishing.plans import Plans

if TYPE_CHECKING:
    from tidings.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
_MOST_IN_A_BATCH = 500


def listed(topics: str | Iterable[str] | None) -> list[str]:
    """The names given as ``topics``. Raises ConfigError."""
    if topics is None or isinstance(topics, str):
        return [topics] if topics is not None else []
    if not isinstance(topics, Iterable):
        raise ConfigError(f"topics={topics!r}: it is a topic, or a list of them.")
    return list(topics)


class Registering:
    """The part of a Consumer that takes handlers. One thread, before the start."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._handlers = Handlers()
        self._router = Router(
            settings.topic, settings.topic_map, settings.topics, topics_by_setting(settings)
        )
        self._plans = Plans(self._router, registry, settings.service, settings.version, settings.envelope)

    def on(self, event: str | type, **terms: Unpack[Terms]) -> Callable[[F], F]:
        """Have the decorated function, plain or async, called with each event of this type.

        ``event`` is an event type or an @event class. What the function gets is what its one parameter is
        annotated with: a class (the data as that), ``dict`` (the data as JSON has it), ``Message`` or
        ``Message[OrderPlaced]`` (all that is known of the event). Events of one key come one after another,
        other keys meanwhile.

        ``terms`` say what happens when it raises or takes too long, and more: see ``Terms``. Delivery is at
        least once: an event may come again after a crash or a rebalance, with the same event_id.

        Raises ConfigError, naming the function: no parameter or several without defaults, one that is not
        annotated, a type that has a handler already, a consumer that has started.
        """
        _check_event("on", event)
        made = checked_terms(self._settings, **terms)

        def register(fn: F) -> F:
            handler = handler_of(fn, **made)
            self._handlers.add_type(event, handler)
            return fn

        return register

    def on_batch(
        self, event: str | type, *, most: int = _MOST_IN_A_BATCH, **terms: Unpack[Terms]
    ) -> Callable[[F], F]:
        """``on`` for lists: the parameter is annotated ``list[OrderPlaced]``, ``list[Message[OrderPlaced]]``.

        A call gets 1 to ``most`` (at most 500) consecutive events of one partition, as many as are there;
        nothing waits for a list to fill. A consumer with a batch handler handles each partition in order,
        one call after another. When a batch fails its events are handed over one by one, each in a list of
        its own, with the retries of ``on``. Raises ConfigError as ``on`` does.
        """
        _check_event("on_batch", event)
        if not is_whole(most, 1, _MOST_IN_A_BATCH):
            raise ConfigError(f"on_batch(most={most!r}): it is from 1 to {_MOST_IN_A_BATCH}.")
        made = checked_terms(self._settings, **terms)

        def register(fn: F) -> F:
            handler = handler_of(fn, **made, is_batch=True, most=most)
            self._handlers.add_type(event, handler)
            return fn

        return register

    def subscribe(self, topic: str, handler: F, **terms: Unpack[Terms]) -> F:
        """Have ``handler`` called with everything of ``topic`` that no ``on`` handler is for.

        Plain JSON without an event type comes here alone, and tombstones, with None for the data, where the
        annotation asks for no class. ``topic`` may be a logical name of TOPICS. Otherwise as ``on``.
        """
        made = checked_terms(self._settings, **terms)
        try:
            resolved = self._router.resolve(topic)
        except InvalidTopic as error:
            raise ConfigError(f"subscribe(): {error.args[0]}") from None
        self._handlers.add_topic(resolved, handler_of(handler, **made))
        return handler

    def _topics(self, names: list[str]) -> list[str]:
        """The topics to read: those named, those subscribed to; with none named also those where events of
        the handlers' types go. Raises ConfigError."""
        found = [self._topic(name) for name in names] + list(self._handlers.by_topic)
        if not names:
            found += [self._home(event_type) for event_type in self._handlers.by_type]
        for topic in found:
            if self._holds_letters(topic):
                raise ConfigError(
                    f"topics: {topic!r} includes this consumer's own dead-letter topic "
                    f"({self._settings.dlq_topic}): a letter that fails would become a letter, for ever. "
                    "Narrow the topics, or give a consumer of letters another dlq_topic=."
                )
        return list(dict.fromkeys(found))

    def _holds_letters(self, topic: str) -> bool:
        """Whether this topic, or what this regular expression finds, is where its letters go."""
        template = self._settings.dlq_topic
        if topic.startswith("^"):
            return re.match(topic, dlq_topic(template, "events")) is not None
        return re.fullmatch(re.escape(template).replace(r"\{topic\}", ".+"), topic) is not None

    def _topic(self, name: str) -> str:
        if isinstance(name, str) and name.startswith("^"):
            try:
                re.compile(name)
            except re.error as error:
                raise ConfigError(f"topics: {name!r} is no regular expression: {error}.") from None
            return name
        try:
            return self._router.resolve(name)
        except InvalidTopic as error:
            raise ConfigError(f"topics: {error.args[0]}") from None

    def _home(self, event_type: str) -> str:
        """Where a publisher of these settings sends events of this type."""
        declared = self._handlers.declared.get(event_type)
        if declared is None:
            return self._plans.topic_for(event_type)
        return self._router.topic_for(event_type, declared.topic)


def _check_event(by: str, event: object) -> None:
    """Raise ConfigError for what names no event: the handler itself, where the parentheses are forgotten."""
    if not isinstance(event, (str, type)):
        raise ConfigError(
            f'{by}({called(event)}): give an event type, or an @event class: @consumer.{by}("order.placed").'
        )
