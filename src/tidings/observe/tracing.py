"""Tracing (extra ``otel``): a span for each event that is sent and for each call of a handler, in one trace.

Spans follow OpenTelemetry's messaging conventions. The context travels in the record headers ``traceparent``
and ``tracestate`` (W3C), through the store too. Who does not ask for it pays nothing: publishers and
consumers are changed when ``otel_tracing`` is called, and not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Tracer,
    TracerProvider,
    get_tracer_provider,
    use_span,
)

from tidings.consuming.consumer import Consumer
from tidings.consuming.fate import reason_of
from tidings.consuming.handlers import Handler
from tidings.consuming.manager import Manager
from tidings.consuming.message import Message
from tidings.errors import DeliveryError, TidingsError
from tidings.events.headers import Pair, headers_size
from tidings.observe.spans import (
    Attributes,
    about,
    context_headers,
    extracted,
    fail,
    is_in_a_trace,
    links_to,
)
from tidings.outbox.adding import Outbox
from tidings.outbox.drafting import Drafts
from tidings.publishing.accepting import Accept
from tidings.publishing.entry import Delivery
from tidings.publishing.publisher import Publisher
from tidings.states import State

_LONGEST_REASON: Final = 500


Traced = Publisher | Consumer | Manager | Outbox | Drafts


def otel_tracing(*traced: Traced, tracer_provider: TracerProvider | None = None) -> None:
    """Trace these publishers, consumers, outboxes, and managers with all of theirs. ``tracer_provider``
    defaults to the global one. Of the outbox for Django, what is traced is ``drafts()``.

    ``send TOPIC`` (PRODUCER) begins at publish() and ends with the delivery: when Kafka has the event, when
    it is stored, or when it failed. ``process TOPIC`` (CONSUMER) is a call of a handler: a child of the
    event's ``send``, or with a list of events a span that links to each of theirs. ``create TOPIC``
    (PRODUCER) is an event that was added to an outbox: the relay's ``send`` links to it, and ``process`` is
    its child. No keys and no payloads: an event is named by its id.

    Publishers at any time, consumers before they start. What a Manager's consumers are made of by a
    function, that function has to trace. Raises ConfigError for a consumer that has started.
    """
    provider = get_tracer_provider() if tracer_provider is None else tracer_provider
    tracer = provider.get_tracer("tidings")
    for one in traced:
        for part in _parts(one):
            if isinstance(part, Publisher):
                part._instrument(_Sending(tracer, part).around)
            elif isinstance(part, Drafts):
                part.watch = _Creating(tracer, part).watch
            else:
                part._handlers.put_around(_Processing(tracer, part).around)


def _parts(one: Traced) -> list[Publisher | Consumer | Drafts]:
    if isinstance(one, Manager):
        return [one.publisher, *one.consumers.values()]
    return [one.drafts if isinstance(one, Outbox) else one]


class _Producing:
    """Spans of events on their way to Kafka."""

    def __init__(self, tracer: Tracer, client_id: str, max_bytes: int) -> None:
        self._tracer = tracer
        self._client_id = client_id
        self._max_bytes = max_bytes

    def _begin(
        self, operation: str, topic: str, value: bytes | None, headers: list[Pair], event_id: bytes
    ) -> Span:
        attributes = about(operation, topic, self._client_id)
        attributes["messaging.message.id"] = event_id.decode(errors="replace")
        if value is None:
            attributes["messaging.kafka.message.tombstone"] = True
        else:
            attributes["messaging.message.body.size"] = len(value)
        return self._tracer.start_span(
            f"{operation} {topic}", kind=SpanKind.PRODUCER, attributes=attributes, links=links_to([headers])
        )

    def _inject(self, span: Span, value: bytes | None, key: bytes | None, headers: list[Pair]) -> None:
        """Write the span's context, unless the event has one, of its first sending, or is too large then."""
        if is_in_a_trace(headers):
            return
        new = context_headers(span)
        if len(value or b"") + len(key or b"") + headers_size(headers) + headers_size(new) <= self._max_bytes:
            headers += new


class _Creating(_Producing):
    """Spans of the events that one outbox turns into rows."""

    def __init__(self, tracer: Tracer, drafts: Drafts) -> None:
        super().__init__(tracer, drafts.client_id, drafts.max_bytes)

    def watch(
        self, topic: str, value: bytes, key: bytes | None, headers: list[Pair], event_id: bytes
    ) -> None:
        """Write the context of a span into the headers of the row."""
        with self._begin("create", topic, value, headers, event_id) as span:
            self._inject(span, value, key, headers)


class _Sending(_Producing):
    """Spans of one publisher's events."""

    def __init__(self, tracer: Tracer, publisher: Publisher) -> None:
        super().__init__(tracer, publisher._settings.client_id, publisher._settings.max_event_bytes)

    def around(self, accept: Accept) -> Accept:
        """``accept`` of an engine, traced."""

        def traced(
            topic: str,
            value: bytes | None,
            key: bytes | None,
            headers: list[Pair],
            event_id: bytes,
            *options: Any,
            **more: Any,
        ) -> Delivery:
            span = self._begin("send", topic, value, headers, event_id)
            self._inject(span, value, key, headers)
            try:
                delivery = accept(topic, value, key, headers, event_id, *options, **more)
            except BaseException as error:
                fail(span, error.code if isinstance(error, TidingsError) else type(error).__qualname__)
                span.end()
                raise
            if span.is_recording():
                delivery.add_done_callback(partial(_settled, span))
            return delivery

        return traced


def _settled(span: Span, delivery: Delivery) -> None:
    """The delivery's word, on the notify thread."""
    span.set_attribute("tidings.state", str(delivery.state))
    if delivery.state is State.DELIVERED:
        span.set_attribute("messaging.destination.partition.id", str(delivery.partition))
        span.set_attribute("messaging.kafka.offset", delivery.offset)
    elif (error := delivery.error) is not None:
        fail(span, error.kafka_error if isinstance(error, DeliveryError) else error.code)
    span.end()


class _Processing:
    """Spans of one consumer's handlers."""

    def __init__(self, tracer: Tracer, consumer: Consumer) -> None:
        self._tracer = tracer
        self._group = consumer.group_id
        self._client_id = consumer._settings.client_id

    def around(self, handler: Handler) -> Handler:
        """The handler, traced. It is given Messages, for their headers, and passes on what was asked for."""
        fn = handler.fn

        def given(argument: Any) -> Any:
            if handler.wants_message:
                return argument
            return [each.data for each in argument] if handler.is_batch else argument.data

        def call(argument: Any) -> None:
            with self._span(argument):
                fn(given(argument))

        async def call_async(argument: Any) -> None:
            with self._span(argument):
                await fn(given(argument))

        traced = call_async if handler.is_async else call
        return msgspec.structs.replace(handler, fn=traced, wants_message=True)

    @contextmanager
    def _span(self, argument: Message[Any] | Sequence[Message[Any]]) -> Iterator[None]:
        span = self._of_one(argument) if isinstance(argument, Message) else self._of_many(argument)
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield
            except BaseException as error:
                fail(span, type(error).__qualname__, reason_of(error, argument)[:_LONGEST_REASON])
                raise

    def _of_one(self, message: Message[Any]) -> Span:
        attributes = self._about(message)
        attributes["messaging.kafka.offset"] = message.offset
        attributes["messaging.message.body.size"] = len(message.value or b"")
        attributes["tidings.attempt"] = message.attempt
        if message.event_id is not None:
            attributes["messaging.message.id"] = message.event_id
        if message.correlation_id is not None:
            attributes["messaging.message.conversation_id"] = message.correlation_id
        return self._begin(message.topic, attributes, extracted(message.headers), [])

    def _of_many(self, messages: Sequence[Message[Any]]) -> Span:
        first = messages[0]
        attributes = self._about(first)
        attributes["messaging.batch.message_count"] = len(messages)
        return self._begin(first.topic, attributes, Context(), links_to([each.headers for each in messages]))

    def _about(self, message: Message[Any]) -> Attributes:
        attributes = about("process", message.topic, self._client_id)
        attributes["messaging.consumer.group.name"] = self._group
        attributes["messaging.destination.partition.id"] = str(message.partition)
        return attributes

    def _begin(self, topic: str, attributes: Attributes, parent: Context, links: list[Link]) -> Span:
        return self._tracer.start_span(
            f"process {topic}", context=parent, kind=SpanKind.CONSUMER, attributes=attributes, links=links
        )
