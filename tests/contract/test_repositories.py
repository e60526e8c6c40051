"""The contract of repositories: in memory, on the embedded broker and on real Kafka."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tidings import KafkaEventRepository
from tidings.testing import EmbeddedBroker, InMemoryEventRepository, InMemoryTransport
from tidings.testing.contract import unique_topic
from tidings.testing.repository_contract import EventRepositoryContract

QUICK: dict[str, Any] = {
    "group_protocol": "consumer",
    "client_config": {"fetch.wait.max.ms": 5},
    "durability": "memory",
    "retry_backoff": 0.001,
}


def maker(brokers: str) -> Callable[..., KafkaEventRepository]:
    group = f"group-{uuid.uuid4()}"
    return lambda: KafkaEventRepository(brokers=brokers, group_id=group, **QUICK)


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


class TestInMemory(EventRepositoryContract):
    @pytest.fixture
    def make(self) -> Callable[..., InMemoryEventRepository]:
        transport = InMemoryTransport()
        return lambda: InMemoryEventRepository(transport)

    @pytest.fixture
    def new_topic(self) -> Callable[[], str]:
        return unique_topic


class TestEmbedded(EventRepositoryContract):
    @pytest.fixture
    def make(self, broker: EmbeddedBroker) -> Callable[..., KafkaEventRepository]:
        return maker(broker.bootstrap_servers)

    @pytest.fixture
    def new_topic(self, broker: EmbeddedBroker) -> Callable[[], str]:
        return lambda: _created(broker)


class TestRealKafka(EventRepositoryContract):
    @pytest.fixture
    def make(self, tidings_real_kafka: Any) -> Callable[..., KafkaEventRepository]:
        return maker(tidings_real_kafka.bootstrap_servers)

    @pytest.fixture
    def new_topic(self, tidings_real_kafka: Any) -> Callable[[], str]:
        return lambda: _created(tidings_real_kafka)


def _created(kafka: Any) -> str:
    topic = unique_topic()
    kafka.create_topic(topic, 4)
    return topic
