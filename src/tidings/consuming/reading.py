"""From a record to a call: which handler gets it, and what it is called with. One decode, as a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import or_
from typing import Any, ClassVar, Literal, Protocol

import msgspec

from tidings.consuming.dedup import Once
from tidings.consuming.handlers import Handler, Handlers
from tidings.consuming.message import Message, Record
from tidings.consuming.outage import Outage
from tidings.errors import DecodeError
from tidings.events.decoding import decode
from tidings.events.payloads.places import is_pydantic
from tidings.events.payloads.rewriting import is_read_otherwise
from tidings.events.payloads.shape import reach
from tidings.events.readers import converter_for, reader_for

Call = tuple["Route", Any, str | None]
"""A handler, its argument, and the correlation id of the event."""


class Read(Protocol):
    """Makes the call for a record; ``attempt`` is what its Message says."""

    def __call__(self, record: Record, attempt: int = 1) -> Call | None: ...


ReadAlike = Callable[[Sequence[Record]], "tuple[Route, list[Any]] | None"]


class Route:
    """A handler at work. ``successes`` only has to change; it is counted without a lock."""

    __slots__ = (
        "as_class",
        "fn",
        "handler",
        "is_shut",
        "once",
        "outage",
        "read_data",
        "successes",
        "wants_message",
    )

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.fn = handler.fn
        self.wants_message = handler.wants_message
        self.as_class = as_class = handler.data_type is None or _is_native(handler.data_type)
        """The envelope's own decoder makes the data; ``read_data`` has nothing to do."""
        self.read_data: Callable[[bytes], Any] | None = None
        if not as_class and handler.data_type is not None:
            self.read_data = reader_for(handler.data_type)
        self.successes = 0
        self.is_shut = False
        """What is behind it is away: only a probe may call it."""
        self.outage = Outage()
        self.once: Once | None = None
        """What it has handled, where that matters."""

    def remember(self, once: Once) -> None:
        """From now on leave out what it has handled."""
        handler, self.once = self.handler, once
        self.wants_message = True
        self.fn = once.around(
            self.fn, messages=handler.wants_message, batch=handler.is_batch, is_async=handler.is_async
        )


class Shut(Exception):
    """Raised in place of a call to a handler that may not be called now."""


class Unread(DecodeError):
    """This record has no event that any handler could be given."""


class Reading:
    """Finds and makes the call for a record. ``read(record, attempt)`` gives None for what nobody handles.

    Raises Unread for what cannot be decoded. Any thread.

    An event in tidings' own envelope is decoded once, by a tagged union of envelopes in which ``event_type``
    picks the class of the data: 0.7 µs. headers() costs 1.5 µs, so they are only asked where the content
    does not tell.
    """

    def __init__(self, handlers: Handlers, unknown: Literal["skip", "letter"]) -> None:
        self._unknown = unknown
        made: dict[int, Route] = {}

        def route(handler: Handler) -> Route:
            return made.setdefault(id(handler), Route(handlers.at_work(handler)))

        self._by_type = {name: route(handler) for name, handler in handlers.by_type.items()}
        self._by_topic = {name: route(handler) for name, handler in handlers.by_topic.items()}
        self.routes = list(made.values())
        self.has_batches = any(route.handler.is_batch for route in self.routes)
        self.read: Read = self._read_slowly
        """``read(record, attempt)``: the call for this record, or None: counted as skipped."""
        self.read_alike: ReadAlike = lambda _: None
        """``read_alike(records)``: of records that are plain events of one batch handler, that one and their
        data; None where any of them needs a closer look."""
        if self._by_type:
            envelopes = [_envelope(name, it) for name, it in self._by_type.items()]
            # One tagged struct alone is also read where the tag is missing: as every CloudEvent would be.
            union: Any = reduce(or_, envelopes, _Never)
            quick = msgspec.json.Decoder(union).decode
            self.read = self._reader(quick)
            self.read_alike = partial(_alike, quick)

    def _reader(self, quick: Callable[[Any], Any]) -> Read:
        """``read`` for events in tidings' own envelope first: a closure, for it is called for each event."""
        slowly = self._read_slowly

        def read(record: Record, attempt: int = 1) -> Call | None:
            try:
                envelope = quick(record.value())  # a TypeError for tombstones
            except (msgspec.MsgspecError, TypeError, UnicodeDecodeError, RecursionError):
                return slowly(record, attempt)
            route = envelope.of_route
            if route is None:
                return slowly(record, attempt)
            data = envelope.data
            if route.read_data is not None:
                try:
                    data = route.read_data(bytes(data))
                except DecodeError as error:
                    raise _unread(error) from None
            correlation_id, event_id = envelope.correlation_id, envelope.event_id
            if not event_id:  # a header may have it
                return slowly(record, attempt)
            if correlation_id is None:
                correlation_id = event_id
            if route.wants_message:
                data = Message(data, envelope.of_type, attempt, envelope, record)
            return route, data, correlation_id

        return read

    def _read_slowly(self, record: Record, attempt: int = 1) -> Call | None:
        """Any of the formats, and what is none."""
        value = record.value()
        topic_route = self._by_topic.get(record.topic())
        if value is None and not any(name == "ce_specversion" for name, _ in record.headers() or ()):
            return self._tombstone(record, attempt, topic_route)
        if topic_route is None and value is not None and self._is_strange(value, record):
            return self._nobody(None)
        try:
            envelope = decode(value, record.headers() or (), keep_unknown=False)
            route = self._by_type.get(envelope.event_type or "", topic_route)
            if route is None:
                return self._nobody(envelope.event_type)
            if route.handler.data_type is not None:
                read: Callable[[Any], Any] = converter_for(route.handler.data_type)
                envelope = msgspec.structs.replace(envelope, data=read(envelope.data))
        except DecodeError as error:
            raise _unread(error) from None
        return self._call(route, envelope, record, attempt)

    def _tombstone(self, record: Record, attempt: int, route: Route | None) -> Call | None:
        """A key without an event: for those who take a topic as it is, with None for the data."""
        if route is None or route.handler.data_type is not None:
            return self._nobody(None)
        return self._call(route, _Nothing(), record, attempt)

    def _call(self, route: Route, around: Any, record: Record, attempt: int) -> Call:
        data = around.data
        correlation_id = around.event_id if around.correlation_id is None else around.correlation_id
        if route.wants_message:
            data = Message(data, around.event_type, attempt, around, record)
        return route, data, correlation_id

    def _is_strange(self, value: bytes, record: Record) -> bool:
        """True for our own envelope of a type that nobody handles: found out without reading its data."""
        try:
            found = _look(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if found.event_type in self._by_type or not found.event_type:
            return False
        return not any(name.lower() == "ce_specversion" for name, _ in record.headers() or ())

    def _nobody(self, event_type: str | None) -> Call | None:
        """Nobody handles it: skipped, or a letter, by UNKNOWN_TYPES."""
        if self._unknown == "skip":
            return None
        what = f"the event type {event_type!r}" if event_type else "what this record holds"
        raise Unread(f"There is no handler for {what}.")


class _Nothing(msgspec.Struct, frozen=True):
    """What is around the data of a tombstone."""

    data: None = None
    event_type: None = None
    event_id: None = None
    correlation_id: None = None
    timestamp: None = None
    source: None = None
    version: None = None


class _Never(msgspec.Struct, tag_field="event_type", tag="\0", gc=False):
    """An event type that nobody has: no declared one is without printable characters."""

    of_route: ClassVar[None] = None
    data: msgspec.Raw


class _Look(msgspec.Struct, gc=False):
    event_type: str
    data: msgspec.Raw


_look = msgspec.json.Decoder(_Look).decode


def _envelope(event_type: str, route: Route) -> type[msgspec.Struct]:
    """The envelope around the data of this route."""
    data: Any = (route.handler.data_type or Any) if route.as_class else msgspec.Raw
    return msgspec.defstruct(
        "Envelope",
        [
            ("data", data),
            ("event_id", str | None, None),
            ("correlation_id", str | None, None),
            ("timestamp", Any, None),
            ("source", str | None, None),
            ("version", Any, None),
        ],
        tag_field="event_type",
        tag=event_type,
        gc=False,
        namespace={"of_route": route, "of_type": event_type},
    )


def _alike(quick: Callable[[Any], Any], records: Sequence[Record]) -> tuple[Route, list[Any]] | None:
    try:
        route: Route | None = quick(records[0].value()).of_route
        if route is None or not route.handler.is_batch or route.read_data is not None or route.wants_message:
            return None
        envelopes = [quick(record.value()) for record in records]
    except BaseException:  # reading them one by one tells which and why
        return None
    if not all(each.of_route is route and each.event_id for each in envelopes):
        return None
    return route, [each.data for each in envelopes]


def _is_native(cls: type) -> bool:
    """Whether msgspec itself reads what is on the wire for this class."""
    return not is_pydantic(cls) and not is_read_otherwise(reach(cls))


def _unread(error: DecodeError) -> Unread:
    return Unread(*error.args)
