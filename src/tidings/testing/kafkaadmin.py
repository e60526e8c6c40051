"""Topics on any Kafka a test is pointed at: one it has started, or ExistingKafka, which was already there."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tidings.testing.controls import PARTITIONS

_POLL = 0.05  # seconds
_REQUEST_TIMEOUT = 30.0


class KafkaTopics(ABC):
    """What RealKafka and ExistingKafka share: an address, and topics that can be made and deleted."""

    @property
    @abstractmethod
    def bootstrap_servers(self) -> str:
        """``host:port`` of every node, separated by commas; plaintext."""

    def create_topic(
        self,
        name: str,
        partitions: int = PARTITIONS,
        *,
        replication: int | None = None,
        config: Mapping[str, str] | None = None,
    ) -> None:
        """Create a topic and wait until each of its partitions has a leader.

        ``replication`` is as many copies as there are nodes, at most 3, by default; ``config`` is the topic's
        own, such as ``{"max.message.bytes": "1000"}``. Raises confluent_kafka.KafkaException when Kafka
        refuses, and TimeoutError after 30 seconds.
        """
        # -1: the broker's default.replication.factor
        topic = NewTopic(name, partitions, replication or -1, config=dict(config or {}))
        admin = admin_client(self.bootstrap_servers)
        admin.create_topics([topic], request_timeout=_REQUEST_TIMEOUT)[name].result(_REQUEST_TIMEOUT)
        deadline = time.monotonic() + _REQUEST_TIMEOUT
        while not _has_leaders(admin, name, partitions):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"topic {name} has partitions without a leader after {_REQUEST_TIMEOUT:.0f} s"
                )
            time.sleep(_POLL)

    def delete_topic(self, name: str) -> None:
        """Delete a topic. Raises confluent_kafka.KafkaException when Kafka refuses."""
        admin = admin_client(self.bootstrap_servers)
        admin.delete_topics([name], request_timeout=_REQUEST_TIMEOUT)[name].result(_REQUEST_TIMEOUT)


class ExistingKafka(KafkaTopics):
    """A Kafka that somebody else runs, named by ``KAFKA_TEST_BROKERS``: only topics can be made on it."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers

    @property
    def bootstrap_servers(self) -> str:
        """The address as it was given."""
        return self._servers


def admin_client(servers: str) -> AdminClient:
    """A client that says nothing on stderr while the nodes are still starting, and reconnects soon."""
    return AdminClient(
        {
            "bootstrap.servers": servers,
            "log_level": 0,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
        }
    )


def nodes_seen(admin: AdminClient, timeout: float) -> set[int]:
    """The nodes that take part, as the one asked knows them; none when it does not answer in time."""
    try:
        return set(admin.list_topics(timeout=timeout).brokers)
    except KafkaException:
        return set()


def _has_leaders(admin: AdminClient, name: str, partitions: int) -> bool:
    topic = admin.list_topics(name, timeout=_REQUEST_TIMEOUT).topics[name]
    return len(topic.partitions) == partitions and all(p.leader >= 0 for p in topic.partitions.values())
