"""The broker of the demo, embedded or real: it can be taken away and brought back, with its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tidings.testing.embedded import EmbeddedBroker
from tidings.testing.realkafka import RealKafka

PARTITIONS = 4


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

    def stop(self) -> None:
        self._kafka.stop()


BROKERS: dict[str, Callable[[Sequence[str]], Broker]] = {"embedded": Embedded, "real": Real}
