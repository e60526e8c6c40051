"""One trace through real Kafka: from publish() over an outage and the store to the handlers that read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kafka_reader import read_topic
from support.processes import wait_until
from support.tracing import Spans, context_of, traceparent_of
from tidings import Consumer, Message, Publisher, State
from tidings.observe import otel_tracing
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic

_LONG = 60.0


@pytest.fixture(scope="module")
def kafka() -> Iterator[RealKafka]:
    with RealKafka() as kafka:
        yield kafka


def test_sent_in_an_outage_and_handled_after_it(kafka: RealKafka, tmp_path: Path) -> None:
    topic, spans, seen = unique_topic(), Spans(), list[str]()
    kafka.create_topic(topic, partitions=1)
    brokers = kafka.bootstrap_servers
    consumer = Consumer(brokers=brokers, topics=topic, group_id=unique_topic())

    @consumer.on("order.placed")
    async def handle(message: Message[dict[str, int]]) -> None:
        seen.append(str(message.event_id))

    publisher = Publisher(brokers=brokers, service="shop", store_dir=tmp_path, store_after=1)
    otel_tracing(publisher, consumer, tracer_provider=spans.provider)
    with publisher:
        with spans.provider.get_tracer("tests").start_as_current_span("request") as request:
            first = publisher.publish({"number": 1}, event_type="order.placed", topic=topic)
            first.wait(_LONG)
            kafka.kill(1)
            second = publisher.publish({"number": 2}, event_type="order.placed", topic=topic)
            assert second.wait(_LONG).state is State.STORED
        kafka.start_node(1)
        assert publisher.flush(_LONG)
    with consumer:
        assert wait_until(lambda: len(seen) >= 2, _LONG)
    sent = spans.named(f"send {topic}", 2)
    handled = spans.named(f"process {topic}", len(seen))
    trace_id = request.get_span_context().trace_id
    assert {context_of(span).trace_id for span in (*sent, *handled)} == {trace_id}
    parents = {span.parent.span_id for span in handled if span.parent}
    assert parents == {context_of(span).span_id for span in sent}
    carried = {dict(record.headers)["traceparent"] for record in read_topic(brokers, topic, 2)}
    assert carried == {traceparent_of(span).encode() for span in sent}
    assert (sent[1].attributes or {})["tidings.state"] == "stored"
