"""The broker of the demo, embedded or real: it can be taken away and brought back, with its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not marked so for mypy
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from tidings.testing.embedded import EmbeddedBroker
from tidings.testing.realkafka import RealKafka

PARTITIONS = 4
_PATIENCE = 30.0


class Broker(Protocol):
    """``stop`` leaves nothing behind, also of a start that failed half-way."""

    name: str

    @property
    def address(self) -> str:
        """host:port"""

    def start(self) -> None:
        """Start it, with the demo's topics."""

    def stop(self) -> None:
        """Stop it and forget its data."""

    def down(self) -> None:
        """Take it away: connections drop, new ones are refused."""

    def up(self) -> None:
        """Bring it back at the same address with its data."""

    def refuse(self, topic: str, hand_overs: int) -> None:
        """Refuse large records of ``topic``; the embedded broker refuses the next ``hand_overs`` records."""

    def relent(self, topic: str) -> None:
        """Take them again."""


class Embedded:
    """librdkafka's own mock broker, in a child process: nothing to install."""

    name = "the embedded broker"

    def __init__(self, topics: Sequence[str]) -> None:
        self._broker = EmbeddedBroker(topics=dict.fromkeys(topics, PARTITIONS))

    @property
    def address(self) -> str:
        return self._broker.bootstrap_servers

    def start(self) -> None:
        self._broker.start()

    def down(self) -> None:
        self._broker.down()

    def up(self) -> None:
        self._broker.up()

    def refuse(self, topic: str, hand_overs: int) -> None:
        self._broker.fail("Produce", "MSG_SIZE_TOO_LARGE", times=hand_overs)

    def relent(self, topic: str) -> None:
        self._broker.clear_failures()

    def stop(self) -> None:
        self._broker.stop()


class Real:
    """Apache Kafka itself, one node from its jars. Away means killed; back means started on the same disk."""

    name = "Apache Kafka"

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics
        self._kafka = RealKafka()

    @property
    def address(self) -> str:
        return self._kafka.bootstrap_servers

    def start(self) -> None:
        self._kafka.start()
        for topic in self._topics:
            self._kafka.create_topic(topic, PARTITIONS)

    def down(self) -> None:
        self._kafka.kill(1)

    def up(self) -> None:
        self._kafka.start_node(1)

    def refuse(self, topic: str, hand_overs: int) -> None:
        self._limit(topic, 1_000)

    def relent(self, topic: str) -> None:
        self._limit(topic, 1_000_000)

    def _limit(self, topic: str, size: int) -> None:
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 2})
        entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(_PATIENCE)

    def stop(self) -> None:
        self._kafka.stop()


BROKERS: dict[str, Callable[[Sequence[str]], Broker]] = {"embedded": Embedded, "real": Real}
