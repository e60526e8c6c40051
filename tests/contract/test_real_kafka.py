"""The contract on real Kafka: ours, or the one KAFKA_TEST_BROKERS names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.kafka_reader import committed, read_topic
from tidings import Consumer, Publisher
from tidings.testing import RealKafka
from tidings.testing.consumer_contract import ConsumerContract
from tidings.testing.contract import PublisherContract, balanced, unique_topic
from tidings.testing.memory import InMemoryRecord


class RealCarrier:
    partitions = 4
    tells_time = True

    def __init__(self, kafka: Any) -> None:
        self.kafka = kafka
        self.can_fail = isinstance(kafka, RealKafka)

    def publisher(self, **overrides: Any) -> Publisher:
        return Publisher(brokers=self.kafka.bootstrap_servers, **overrides)

    def consumer(self, **options: Any) -> Consumer:
        return Consumer(
            brokers=self.kafka.bootstrap_servers,
            client_config={"heartbeat.interval.ms": 200},  # by which a member hears of others
            retry_backoff=0.001,
            **options,
        )

    def committed(self, topic: str, group: str) -> dict[int, int]:
        return committed(self.kafka.bootstrap_servers, topic, group, self.partitions)

    def read(self, topic: str, count: int) -> list[InMemoryRecord]:
        return read_topic(self.kafka.bootstrap_servers, topic, count)

    def new_topic(self) -> str:
        topic = unique_topic()
        self.kafka.create_topic(topic, partitions=self.partitions)
        return topic

    def down(self) -> None:
        self.kafka.pause(1)

    def up(self) -> None:
        self.kafka.resume(1)


@pytest.fixture
def carrier(tidings_real_kafka: Any) -> RealCarrier:
    return RealCarrier(tidings_real_kafka)


@pytest.fixture(scope="module")
def shared_publisher(tidings_real_kafka: Any) -> Iterator[Publisher]:
    """One for all tests: librdkafka begins to send half a second after it was made."""
    with balanced(RealCarrier(tidings_real_kafka).publisher(service="contract")) as publisher:
        yield publisher


class TestRealKafka(PublisherContract):
    """Publishing."""

    @pytest.fixture
    def publisher(self, shared_publisher: Publisher) -> Publisher:
        return shared_publisher


class TestConsumingRealKafka(ConsumerContract):
    """Consuming."""

    @pytest.fixture
    def publisher(self, shared_publisher: Publisher) -> Publisher:
        return shared_publisher
