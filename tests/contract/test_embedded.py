"""The contract on the embedded broker: librdkafka's mock cluster in a child process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.kafka_reader import committed, read_topic
from tidings import Consumer, Publisher
from tidings.testing import EmbeddedBroker
from tidings.testing.consumer_contract import ConsumerContract
from tidings.testing.contract import PublisherContract, balanced, unique_topic
from tidings.testing.memory import InMemoryRecord


class EmbeddedCarrier:
    can_fail = True
    tells_time = False
    partitions = 4

    def __init__(self, broker: EmbeddedBroker) -> None:
        self.broker = broker

    def publisher(self, **overrides: Any) -> Publisher:
        return Publisher(brokers=self.broker.bootstrap_servers, **overrides)

    def consumer(self, **options: Any) -> Consumer:
        return Consumer(
            brokers=self.broker.bootstrap_servers,
            **{
                "group_protocol": "consumer",  # classic changes take the mock a session
                "client_config": {"fetch.wait.max.ms": 5},
                "retry_backoff": 0.001,
                **options,
            },
        )

    def committed(self, topic: str, group: str) -> dict[int, int]:
        return committed(self.broker.bootstrap_servers, topic, group, self.partitions)

    def read(self, topic: str, count: int) -> list[InMemoryRecord]:
        return read_topic(self.broker.bootstrap_servers, topic, count)

    def new_topic(self) -> str:
        topic = unique_topic()
        self.broker.create_topic(topic, self.partitions)
        return topic

    def down(self) -> None:
        self.broker.down()

    def up(self) -> None:
        self.broker.up()


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def carrier(broker: EmbeddedBroker) -> EmbeddedCarrier:
    return EmbeddedCarrier(broker)


@pytest.fixture(scope="module")
def shared_publisher(broker: EmbeddedBroker) -> Iterator[Publisher]:
    """One for all tests: librdkafka begins to send half a second after it was made."""
    with balanced(EmbeddedCarrier(broker).publisher(service="contract")) as publisher:
        yield publisher


class TestEmbedded(PublisherContract):
    """Publishing."""

    @pytest.fixture
    def publisher(self, shared_publisher: Publisher) -> Publisher:
        return shared_publisher


class TestConsumingEmbedded(ConsumerContract):
    """Consuming."""

    @pytest.fixture
    def publisher(self, shared_publisher: Publisher) -> Publisher:
        return shared_publisher
