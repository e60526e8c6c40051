"""Tracing without Kafka: what spans say, who is whose parent, what is in the store, and that off is off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.semconv._incubating.attributes import messaging_attributes as names
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from sqlalchemy import create_engine

from support.processes import wait_until
from support.tracing import Spans, context_of, traceparent_of
from tidings import ConfigError, Consumer, Manager, Message, Publisher, Registry, Secret, State
from tidings.observe import otel_tracing
from tidings.outbox import Outbox, Relay
from tidings.testing.memory import InMemoryRecord, InMemoryTransport

LONG = 30.0
registry = Registry()


@registry.event("order.placed", topic="orders", key="order_id")
class OrderPlaced(msgspec.Struct):
    order_id: str
    card: Annotated[str, Secret] = ""


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture
def transport() -> InMemoryTransport:
    return InMemoryTransport()


def _headers(record: InMemoryRecord) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in record.headers}


def _of(span: Any) -> dict[str, Any]:
    return dict(span.attributes)


@pytest.mark.parametrize(
    "publish",
    [
        lambda publisher: publisher.publish(OrderPlaced("o-1")),
        lambda publisher: publisher.publish(OrderPlaced("o-1"), headers={"x": "y"}),
        lambda publisher: publisher.publish_json("orders", {"order_id": "o-1"}),
        lambda publisher: publisher.produce("orders", b"{}", b"o-1"),
        lambda publisher: publisher.publish_batch([OrderPlaced("o-1")])[0],
        lambda publisher: publisher.sender("orders").send("o-1", {"order_id": "o-1"}),
    ],
)
def test_every_way_to_publish_is_a_span(
    publish: Callable[[Publisher], Any], spans: Spans, transport: InMemoryTransport
) -> None:
    with Publisher(transport=transport, service="shop", registry=registry) as publisher:
        publisher.publish(OrderPlaced("before")).wait(LONG)
        otel_tracing(publisher, tracer_provider=spans.provider)
        with spans.provider.get_tracer("tests").start_as_current_span("request") as request:
            delivery = publish(publisher)
        receipt = delivery.wait(LONG)
        (span,) = spans.named("send orders")
    assert span.kind is SpanKind.PRODUCER
    assert span.parent is not None
    assert span.parent.span_id == request.get_span_context().span_id
    assert _headers(transport.records[-1])["traceparent"] == traceparent_of(span)
    assert "traceparent" not in _headers(transport.records[0])
    size = len(transport.records[-1].value or b"")
    assert _of(span) == {
        names.MESSAGING_SYSTEM: "kafka",
        names.MESSAGING_OPERATION_NAME: "send",
        names.MESSAGING_OPERATION_TYPE: "send",
        names.MESSAGING_DESTINATION_NAME: "orders",
        names.MESSAGING_CLIENT_ID: "shop",
        names.MESSAGING_MESSAGE_ID: receipt.event_id,
        names.MESSAGING_MESSAGE_BODY_SIZE: size,
        names.MESSAGING_DESTINATION_PARTITION_ID: str(receipt.partition),
        names.MESSAGING_KAFKA_OFFSET: receipt.offset,
        "tidings.state": "delivered",
    }


def test_failures_and_refusals_are_errors(spans: Spans, transport: InMemoryTransport) -> None:
    transport.fail_always(lambda record: record.value == b"bad", "MSG_SIZE_TOO_LARGE")
    publisher = Publisher(transport=transport, service="shop", retry_max=1, retry_backoff=0.001)
    otel_tracing(publisher, tracer_provider=spans.provider)
    bad = publisher.produce("orders", b"bad")
    assert wait_until(bad.done, LONG)
    (span,) = spans.named("send orders")
    assert (_of(span)["error.type"], span.status.status_code) == ("MSG_SIZE_TOO_LARGE", StatusCode.ERROR)
    publisher.close()
    with pytest.raises(Exception, match="closed"):
        publisher.produce("late", b"1")
    (span,) = spans.named("send late")
    assert _of(span)["error.type"] == "KAFKA_CLOSED"


def test_a_context_that_an_event_brings_stays(spans: Spans, transport: InMemoryTransport) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with Publisher(transport=transport, service="shop") as publisher:
        otel_tracing(publisher, tracer_provider=spans.provider)
        publisher.produce("t", b"1", headers={"traceparent": given}).wait(LONG)
        (span,) = spans.named("send t")
    assert _headers(transport.records[0])["traceparent"] == given
    assert [f"{link.context.span_id:x}" for link in span.links] == ["b7ad6b7169203331"]


def test_an_event_that_just_fits_is_not_refused_for_its_trace(
    spans: Spans, transport: InMemoryTransport
) -> None:
    with Publisher(transport=transport, service="shop", max_event_bytes=2000) as publisher:
        otel_tracing(publisher, tracer_provider=spans.provider)
        publisher.produce("t", b"x" * 1940).wait(LONG)
        spans.named("send t")
    assert "traceparent" not in _headers(transport.records[0])


def test_not_sampled_travels_too_and_tells_nothing(spans: Spans, transport: InMemoryTransport) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    with Publisher(transport=transport, service="shop") as publisher:
        otel_tracing(publisher, tracer_provider=provider)
        publisher.produce("t", b"1").wait(LONG)
    flags = _headers(transport.records[0])["traceparent"].rpartition("-")[2]
    assert not int(flags, 16) & 1


def test_an_event_of_the_outbox_is_in_the_trace_of_the_request_that_added_it(
    spans: Spans, transport: InMemoryTransport, tmp_path: Path
) -> None:
    outbox, engine = Outbox(registry=registry), create_engine(f"sqlite:///{tmp_path}/app.db")
    outbox.create(engine)
    with Publisher(transport=transport, registry=registry) as publisher:
        otel_tracing(outbox, publisher, tracer_provider=spans.provider)
        with spans.provider.get_tracer("web").start_as_current_span("request"), engine.begin() as connection:
            event_id = outbox.add(connection, OrderPlaced("o-1", "4111-1111"))
        Relay(engine, publisher).run(until_empty=True)
    engine.dispose()
    (request,), (created,), (sent,) = (
        spans.named(name) for name in ("request", "create orders", "send orders")
    )
    assert created.parent == context_of(request)
    assert created.kind == SpanKind.PRODUCER
    assert _of(created)[names.MESSAGING_MESSAGE_ID] == event_id
    assert [link.context.span_id for link in sent.links] == [context_of(created).span_id]
    assert _headers(transport.records[0])["traceparent"] == traceparent_of(created)
    assert "4111" not in str(_of(created))


def test_an_outbox_that_is_not_traced_writes_no_header(transport: InMemoryTransport) -> None:
    row = Outbox(registry=registry).drafts.row(OrderPlaced("o-1"))
    assert "traceparent" not in row["headers"]


def test_it_survives_the_store(spans: Spans, transport: InMemoryTransport, tmp_path: Path) -> None:
    options: dict[str, Any] = {"store_dir": tmp_path, "store_after": 0.1, "registry": registry}
    transport.down()
    with Publisher(
        transport=transport, service="shop", durability="spill", close_timeout=0.1, **options
    ) as publisher:
        otel_tracing(publisher, tracer_provider=spans.provider)
        assert publisher.publish(OrderPlaced("o-1")).wait(LONG).state is State.STORED
        (span,) = spans.named("send orders")
        assert _of(span)["tidings.state"] == "stored"
    later = InMemoryTransport()
    with Publisher(transport=later, service="shop", durability="spill", **options) as publisher:
        publisher.produce("wake", b"1")
        assert wait_until(lambda: any(record.topic == "orders" for record in later.records), LONG)
    (record,) = [record for record in later.records if record.topic == "orders"]
    assert _headers(record)["traceparent"] == traceparent_of(span)


def _consume(consumer: Consumer, transport: InMemoryTransport, spans: Spans, events: int) -> None:
    with Publisher(transport=transport, service="shop", registry=registry) as publisher:
        otel_tracing(publisher, consumer, tracer_provider=spans.provider)
        for number in range(events):
            publisher.publish(OrderPlaced(f"o-{number}", "4111-1111")).wait(LONG)
    with consumer:
        assert wait_until(lambda: consumer.stats().handled + consumer.stats().dead_lettered >= events, LONG)


@pytest.fixture
def consumer(transport: InMemoryTransport) -> Consumer:
    return Consumer(transport=transport, topics="orders", group_id="billing", registry=registry)


@pytest.mark.parametrize("kind", ["sync", "async", "message"])
def test_a_handler_runs_in_the_trace_of_its_event(
    kind: str, consumer: Consumer, spans: Spans, transport: InMemoryTransport
) -> None:
    inside: list[Any] = []

    def note(order: object) -> None:
        inside.append((order, get_current_span().get_span_context().span_id))

    if kind == "sync":

        @consumer.on(OrderPlaced)
        def plain(order: OrderPlaced) -> None:
            note(order)

    elif kind == "async":

        @consumer.on(OrderPlaced)
        async def awaited(order: OrderPlaced) -> None:
            await asyncio.sleep(0.001)
            note(order)

    else:

        @consumer.on(OrderPlaced)
        def whole(message: Message[OrderPlaced]) -> None:
            note(message.data)

    _consume(consumer, transport, spans, 1)
    (sent,), (handled,) = spans.named("send orders"), spans.named("process orders")
    assert (handled.context.trace_id, handled.parent.span_id) == (sent.context.trace_id, sent.context.span_id)  # type: ignore[union-attr]
    assert handled.kind is SpanKind.CONSUMER
    assert [(order.order_id, span) for order, span in inside] == [("o-0", handled.context.span_id)]
    found = _of(handled)
    assert found[names.MESSAGING_OPERATION_NAME] == found[names.MESSAGING_OPERATION_TYPE] == "process"
    assert found[names.MESSAGING_CONSUMER_GROUP_NAME] == "billing"
    assert found[names.MESSAGING_MESSAGE_ID] == _of(sent)[names.MESSAGING_MESSAGE_ID]
    assert found[names.MESSAGING_KAFKA_OFFSET] == _of(sent)[names.MESSAGING_KAFKA_OFFSET]
    assert found[names.MESSAGING_MESSAGE_CONVERSATION_ID] == found[names.MESSAGING_MESSAGE_ID]
    assert found["tidings.attempt"] == 1


def test_a_batch_links_to_each_of_its_events(
    consumer: Consumer, spans: Spans, transport: InMemoryTransport
) -> None:
    sizes: list[int] = []

    @consumer.on_batch(OrderPlaced)
    def many(orders: list[OrderPlaced]) -> None:
        sizes.append(len(orders))

    _consume(consumer, transport, spans, 20)
    handled = spans.named("process orders", len(sizes))
    assert sum(sizes) == 20
    assert sorted(_of(span)[names.MESSAGING_BATCH_MESSAGE_COUNT] for span in handled) == sorted(sizes)
    linked = {link.context.span_id for span in handled for link in span.links}
    assert linked == {span.context.span_id for span in spans.named("send orders", 20)}
    assert {span.parent for span in handled} == {None}


def test_each_attempt_is_a_span_and_no_secret_is_in_it(
    consumer: Consumer, spans: Spans, transport: InMemoryTransport
) -> None:
    @consumer.on(OrderPlaced, retries=1, backoff=0.001)
    def fails(order: OrderPlaced) -> None:
        raise LookupError(f"no such card: {order.card}")

    _consume(consumer, transport, spans, 1)
    first, second = spans.named("process orders", 2)
    assert [_of(span)["tidings.attempt"] for span in (first, second)] == [1, 2]
    for span in (first, second):
        assert (_of(span)["error.type"], span.status.status_code) == ("LookupError", StatusCode.ERROR)
        assert "no such card" in str(span.status.description)
        assert "4111" not in span.to_json()


@pytest.mark.parametrize(
    "traceparent", [b"", b"nonsense", b"\xff\xfe", b"00-" + b"0" * 32 + b"-" + b"0" * 16, b"x" * 10**5]
)
def test_a_forged_context_is_none(
    traceparent: bytes, consumer: Consumer, spans: Spans, transport: InMemoryTransport
) -> None:
    def take(data: dict[str, str]) -> None: ...

    consumer.subscribe("orders", take)
    otel_tracing(consumer, tracer_provider=spans.provider)
    with Publisher(transport=transport, service="shop") as publisher:
        publisher.produce("orders", b"{}", headers={"traceparent": traceparent, "tracestate": b"\xff"}).wait(
            LONG
        )
    with consumer:
        (handled,) = spans.named("process orders")
    assert handled.parent is None


def test_a_manager_and_what_a_handler_publishes(spans: Spans, transport: InMemoryTransport) -> None:
    manager = Manager(transport=transport, service="shop", registry=registry)
    billing = manager.consumer(topics="orders", group_id="billing")

    @billing.on(OrderPlaced)
    def bill(order: OrderPlaced) -> None:
        manager.publisher.publish_json("bills", {"order": order.order_id})

    otel_tracing(manager, tracer_provider=spans.provider)
    with manager:
        manager.publisher.publish(OrderPlaced("o-1")).wait(LONG)
        (handled,), (sent,) = spans.named("process orders"), spans.named("send bills")
        with pytest.raises(ConfigError, match="started"):
            otel_tracing(billing, tracer_provider=spans.provider)
    assert sent.parent.span_id == handled.context.span_id  # type: ignore[union-attr]


def test_off_is_off(transport: InMemoryTransport) -> None:
    """No closure of the hot path changes; a traced one uses none."""
    with Publisher(transport=transport, service="shop", registry=registry) as publisher:
        publisher.publish(OrderPlaced("o-1")).wait(LONG)
        assert OrderPlaced in publisher._hot
        assert publisher._accept == publisher._engine.accept
        otel_tracing(publisher, tracer_provider=Spans().provider)
        publisher.publish(OrderPlaced("o-1")).wait(LONG)
        assert publisher._hot == {}
