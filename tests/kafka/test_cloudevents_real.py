"""A consumer that knows only the CloudEvents SDK reads what tidings publishes to real Kafka."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event

from support.kafka_reader import read_topic
from tidings import Publisher, Registry
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic


@Registry().event("order.placed", key="order_id")
class Placed(msgspec.Struct):
    order_id: str


@pytest.mark.parametrize("form", ["cloudevents", "cloudevents-binary"])
def test_the_sdk_alone_is_enough(tidings_own_kafka: RealKafka, form: Any) -> None:
    topic = unique_topic()
    tidings_own_kafka.create_topic(topic, 1)
    brokers = tidings_own_kafka.bootstrap_servers
    with Publisher(brokers=brokers, envelope=form, service="shop", topic=topic) as publisher:
        publisher.publish(Placed("o-1"), correlation_id="req-1")
    (record,) = read_topic(brokers, topic, 1)
    headers = {name: value for name, value in record.headers if value is not None}
    event = from_kafka_event(KafkaMessage(headers=headers, key=record.key, value=record.value or b""))
    assert event.get_data() == {"order_id": "o-1"}
    assert (event.get_type(), event.get_source()) == ("order.placed", "shop")
    assert event.get_extension("correlationid") == "req-1"
