"""Handlers: which function gets which events, as what; found out from its annotation and checked at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from tidings.consuming.functions import behind, called, watched
from tidings.consuming.message import Message
from tidings.consuming.retries import RetryPolicy
from tidings.errors import ConfigError, InvalidTopic
from tidings.events.declare import Declaration, declaration_of
from tidings.events.readers import reader_for
from tidings.events.routing import check_topic

F = TypeVar("F", bound=Callable[..., Any])
_AS_IT_IS: Final = (Any, object, dict)


class Handler(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A function, and what it is to be called with."""

    fn: Callable[[Any], Any]
    name: str
    data_type: type | None
    """The class of the data; None for what JSON gives."""
    wants_message: bool
    is_async: bool
    is_batch: bool
    policy: RetryPolicy
    timeout: float
    """Seconds."""
    dedup: float | None = None
    """Seconds for which it is not called with an event again that it has handled; None: always."""
    outputs: Literal["delivered", "stored"] = "delivered"
    """What must have become of events that it publishes before its own counts as handled."""
    most: int = 1
    """The most events of a batch."""


class Handlers:
    """All handlers of a consumer, by event type and by topic. Filled before the start, on any one thread."""

    def __init__(self) -> None:
        self.by_type: dict[str, Handler] = {}
        self.by_topic: dict[str, Handler] = {}
        self.declared: dict[str, Declaration] = {}
        """What @event says of types whose class is named, by ``on`` or an annotation."""
        self._around: Callable[[Handler], Handler] | None = None
        self._is_closed = False

    def put_around(self, around: Callable[[Handler], Handler]) -> None:
        """Have ``around(handler)`` called in place of each handler. Raises ConfigError after the start."""
        if self._is_closed:
            raise ConfigError("This consumer has started. Say it before the start.")
        self._around = around

    def at_work(self, handler: Handler) -> Handler:
        """The handler as it is called."""
        return handler if self._around is None else self._around(handler)

    def close(self) -> None:
        """The consumer starts: nothing is added from now on. Raises ConfigError when there is no handler."""
        if not self.by_type and not self.by_topic:
            raise ConfigError("This consumer has no handler. Register one with on() or subscribe().")
        self._is_closed = True

    def add_type(self, event_type: str | type, handler: Handler) -> None:
        """Events of this type go to this handler. Raises ConfigError."""
        name = event_type_of(event_type, handler)
        self._check(handler, self.by_type.get(name), f"the event type {name!r}")
        self.by_type[name] = handler
        cls = event_type if isinstance(event_type, type) else handler.data_type
        if cls is not None and (declared := declaration_of(cls)) is not None:
            self.declared[name] = declared

    def add_topic(self, topic: str, handler: Handler) -> None:
        """What no other handler gets of this topic goes to this one. Raises ConfigError."""
        try:
            check_topic(topic)
        except InvalidTopic as error:
            raise ConfigError(f"subscribe() of {handler.name}: {error}") from None
        self._check(handler, self.by_topic.get(topic), f"the topic {topic!r}")
        self.by_topic[topic] = handler

    @property
    def all(self) -> list[Handler]:
        """Every handler once."""
        return list({id(each): each for each in (*self.by_type.values(), *self.by_topic.values())}.values())

    def _check(self, handler: Handler, other: Handler | None, what: str) -> None:
        if self._is_closed:
            raise ConfigError(f"{handler.name} comes too late: the consumer has started. Register it before.")
        if other is not None:
            raise ConfigError(
                f"{handler.name} and {other.name} are both for {what}: one event has one handler. "
                "Call the second from the first, or give it a consumer and a group of its own."
            )


def event_type_of(given: str | type, handler: Handler) -> str:
    """The event type of ``on(given)``, which must fit the handler's annotation. Raises ConfigError."""
    annotated = handler.data_type and declaration_of(handler.data_type)
    if isinstance(given, str):
        if not given or not given.isprintable():
            raise ConfigError(f"on({given!r}) of {handler.name}: an event type is printable and not empty.")
        if annotated and annotated.event_type != given:
            raise ConfigError(
                f"{handler.name} is for {given!r}, and its annotation {called(handler.data_type)} is "
                f"declared as {annotated.event_type!r}. Correct one of them."
            )
        return given
    declared = declaration_of(given) if isinstance(given, type) else None
    if declared is None:
        raise ConfigError(f"on({called(given)}) of {handler.name}: give an event type, or an @event class.")
    if handler.data_type not in (None, given):
        raise ConfigError(
            f"{handler.name} is for {called(given)}, and its annotation says {called(handler.data_type)}. "
            "Correct one of them."
        )
    return declared.event_type


def handler_of(
    fn: Callable[..., Any],
    *,
    policy: RetryPolicy,
    timeout: float,
    dedup: float | None = None,
    outputs: Literal["delivered", "stored"] = "delivered",
    is_batch: bool = False,
    most: int = 1,
) -> Handler:
    """The handler that a function is, by the annotation of its one parameter. Raises ConfigError."""
    name = called(fn)
    if not callable(fn):
        raise ConfigError(f"{name} is no function.")
    watched_fn, is_async = watched(fn, name)
    annotation = _annotation(fn, name)
    if is_batch:
        if get_origin(annotation) is not list:
            raise ConfigError(f"{name} is for batches: annotate its parameter as list[...].")
        (annotation,) = get_args(annotation)
    elif get_origin(annotation) is list:
        raise ConfigError(f"{name} takes a list: register it with on_batch().")
    wants_message = annotation is Message or get_origin(annotation) is Message
    if wants_message:
        annotation = next(iter(get_args(annotation)), Any)
    return Handler(
        fn=watched_fn,
        name=name,
        data_type=_data_type(annotation, name),
        wants_message=wants_message,
        is_async=is_async,
        is_batch=is_batch,
        policy=policy,
        timeout=timeout,
        dedup=dedup,
        outputs=outputs,
        most=most,
    )


def _annotation(fn: Callable[..., Any], name: str) -> Any:
    """What its one parameter that must be given is annotated with."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        raise ConfigError(f"{name} has no signature to read. Wrap it in a function.") from None
    needed = [each for each in parameters if _must_be_given(each)]
    if len(needed) != 1 or needed[0].kind is inspect.Parameter.KEYWORD_ONLY:
        found = ", ".join(each.name for each in needed) or "none"
        raise ConfigError(
            f"{name} must take one argument, the event; others need a default. It takes: {found}."
        )
    (parameter,) = needed
    if parameter.annotation is inspect.Parameter.empty:
        raise ConfigError(
            f"{name}: annotate {parameter.name} with what it is to get: the class of the event, dict, "
            "Message or Message[...]."
        )
    try:
        one = SimpleNamespace(__annotations__={"it": parameter.annotation})
        return get_type_hints(one, globalns=getattr(behind(fn), "__globals__", {}), include_extras=True)["it"]
    except NameError as error:
        raise ConfigError(
            f"{name}: the annotation of {parameter.name} cannot be read: {error}. "
            "Define the class in the module, or import it outside of TYPE_CHECKING."
        ) from None


def _must_be_given(parameter: inspect.Parameter) -> bool:
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in several


def _data_type(annotation: Any, name: str) -> type | None:
    if annotation in _AS_IT_IS or get_origin(annotation) is dict:
        return None
    if not isinstance(annotation, type):
        raise ConfigError(f"{name}: {annotation} is no class that an event can be read as.")
    try:
        reader_for(annotation)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error.args[0]}") from None
    return annotation
