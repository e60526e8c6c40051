"""The contract on the embedded broker: librdkafka's mock cluster in a child process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.kafka_reader import read_topic
from tidings import Publisher
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import PublisherContract, unique_topic
from tidings.testing.memory import InMemoryRecord


class EmbeddedCarrier:
    can_fail = True
    tells_time = False
    partitions = 4

    def __init__(self, broker: EmbeddedBroker) -> None:
        self.broker = broker

    def publisher(self, **overrides: Any) -> Publisher:
        return Publisher(brokers=self.broker.bootstrap_servers, **overrides)

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


class TestEmbedded(PublisherContract):
    @pytest.fixture
    def carrier(self) -> Iterator[EmbeddedCarrier]:
        with EmbeddedBroker() as broker:
            yield EmbeddedCarrier(broker)
