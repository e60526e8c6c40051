"""The contract on the in-memory transport."""

from __future__ import annotations

from typing import Any

import pytest

from tidings import Consumer, Publisher
from tidings.testing.consumer_contract import ConsumerContract
from tidings.testing.contract import PublisherContract, unique_topic
from tidings.testing.memory import InMemoryRecord, InMemoryTransport


class InMemoryCarrier:
    can_fail = True
    tells_time = True

    def __init__(self) -> None:
        self.transport = InMemoryTransport()
        self.partitions = self.transport.partitions

    def publisher(self, **overrides: Any) -> Publisher:
        return Publisher(transport=self.transport, **overrides)

    def consumer(self, **options: Any) -> Consumer:
        return Consumer(transport=self.transport, retry_backoff=0.001, **options)

    def committed(self, topic: str, group: str) -> dict[int, int]:
        found = self.transport.committed(group)
        return {partition: offset for (name, partition), offset in found.items() if name == topic}

    def read(self, topic: str, count: int) -> list[InMemoryRecord]:
        return [record for record in self.transport.records if record.topic == topic]

    def new_topic(self) -> str:
        return unique_topic()

    def down(self) -> None:
        self.transport.down()

    def up(self) -> None:
        self.transport.up()


class TestInMemory(PublisherContract):
    @pytest.fixture
    def carrier(self) -> InMemoryCarrier:
        return InMemoryCarrier()


class TestConsumingInMemory(ConsumerContract):
    @pytest.fixture
    def carrier(self) -> InMemoryCarrier:
        return InMemoryCarrier()
