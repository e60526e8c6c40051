"""The table of outcomes on real Kafka: what provokes a name, its class, and the careful client's verdict."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not marked so for mypy
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from support.kafka_reader import read_topic
from tidings.kafka.client import KafkaClient
from tidings.kafka.outcomes import Outcome, answered, certainty_of, classify
from tidings.settings import Settings
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic

_WAIT = 60.0
_LIMIT = 5000
_TWO_HOURS = 7_200_000


@pytest.fixture(scope="module")
def kafka() -> Iterator[RealKafka]:
    """A Kafka where topics are made on purpose only and users may do nothing by default."""
    own = {"auto.create.topics.enable": "false", "allow.everyone.if.no.acl.found": "false"}
    with RealKafka(config=own) as kafka:
        yield kafka


@pytest.fixture
def connect() -> Iterator[Callable[..., KafkaClient]]:
    """Makes clients whose batches wait for all of a test's records."""
    made: list[KafkaClient] = []
    logger = logging.getLogger("tidings.test.outcomes")

    def connect(**settings: Any) -> KafkaClient:
        made.append(KafkaClient(Settings(**{"flush_timeout": 0.5, **settings}), logger))
        return made[-1]

    yield connect
    for client in made:
        client.purge()
        client.close()


class Sent:
    """Records sent with one client, and what became of each: an error's name, or None."""

    def __init__(self, client: KafkaClient, topic: str, partition: int = 0) -> None:
        self.client, self.topic, self.partition = client, topic, partition
        self.names: dict[bytes, str | None] = {}
        self.raised: list[str] = []

    def send(self, value: bytes, key: bytes | None = b"k", timestamp: int = 0) -> None:
        def report(fault: Any, _: Any) -> None:
            self.names[value] = fault and fault.name()

        self.client.produce(self.topic, value, key, self.partition, report, None, timestamp, [])

    def served(self, count: int) -> dict[bytes, str | None]:
        """The outcomes, once all ``count`` are there; what poll() raised meanwhile is in ``raised``."""
        end = time.monotonic() + _WAIT
        while len(self.names) < count:
            assert time.monotonic() < end, (self.names, self.raised)
            self.poll(0.2)
        return self.names

    def poll(self, timeout: float) -> None:
        try:
            self.client.poll(timeout)
        except KafkaException as error:
            fault = self.client.refusal(error)
            assert fault is not None
            self.raised.append(fault.name())


def make_topic(kafka: RealKafka, **config: str) -> str:
    topic = unique_topic()
    kafka.create_topic(topic, 1, config={name.replace("_", "."): value for name, value in config.items()})
    return topic


def is_suspect(name: str) -> None:
    assert classify(name) is Outcome.SUSPECT
    assert answered(name)
    assert certainty_of(name) == "not_delivered"


def values_in(kafka: RealKafka, topic: str, count: int) -> set[bytes | None]:
    return {record.value for record in read_topic(kafka.bootstrap_servers, topic, count)}


def test_a_record_above_the_topics_limit(kafka: RealKafka, connect: Callable[..., KafkaClient]) -> None:
    topic = make_topic(kafka, max_message_bytes=str(_LIMIT))
    client = connect(brokers=kafka.bootstrap_servers)
    large = os.urandom(_LIMIT + 1)
    for lane in (client, client.careful()):
        sent = Sent(lane, topic)
        sent.send(large)
        assert sent.served(1) == {large: "MSG_SIZE_TOO_LARGE"}
    is_suspect("MSG_SIZE_TOO_LARGE")


def test_forty_small_records_whose_batch_is_above_the_limit_pass_alone(
    kafka: RealKafka, connect: Callable[..., KafkaClient]
) -> None:
    topic = make_topic(kafka, max_message_bytes=str(_LIMIT))
    client = connect(brokers=kafka.bootstrap_servers)
    busy, alone = Sent(client, topic), Sent(client.careful(), topic)
    values = [os.urandom(250) for _ in range(40)]
    for value in values:
        busy.send(value)
    assert set(busy.served(40).values()) == {"MSG_SIZE_TOO_LARGE"}
    for value in values:
        alone.send(value)
    assert set(alone.served(40).values()) == {None}
    alone.client.close()
    assert values_in(kafka, topic, 40) == set(values)


@pytest.mark.parametrize(
    ("config", "guilty", "name"),
    [
        ({"message_timestamp_after_max_ms": "3600000"}, {"timestamp": _TWO_HOURS}, "INVALID_TIMESTAMP"),
        ({"cleanup_policy": "compact"}, {"key": None}, "INVALID_RECORD"),
    ],
)
def test_one_guilty_record_drags_its_batch_along_and_fails_alone(
    kafka: RealKafka,
    connect: Callable[..., KafkaClient],
    config: dict[str, str],
    guilty: dict[str, Any],
    name: str,
) -> None:
    topic = make_topic(kafka, **config)
    client = connect(brokers=kafka.bootstrap_servers)
    if "timestamp" in guilty:
        guilty = {"timestamp": time.time_ns() // 1_000_000 + guilty["timestamp"]}
    busy, alone = Sent(client, topic), Sent(client.careful(), topic)
    for lane in (busy, alone):
        for number in range(10):
            lane.send(b"innocent %d" % number)
        lane.send(b"guilty", **guilty)
        for number in range(10, 20):
            lane.send(b"innocent %d" % number)
    dragged = set(busy.served(21).values())
    assert name in dragged
    assert dragged <= {name, "_INVALID_DIFFERENT_RECORD"}
    assert [value for value, error in alone.served(21).items() if error] == [b"guilty"]
    assert alone.names[b"guilty"] == name
    for each in dragged:
        assert each is not None
        is_suspect(each)
    alone.client.close()
    assert values_in(kafka, topic, 20) == {b"innocent %d" % number for number in range(20)}


def test_a_topic_nobody_made(kafka: RealKafka, connect: Callable[..., KafkaClient]) -> None:
    sent = Sent(connect(brokers=kafka.bootstrap_servers), unique_topic())
    sent.send(b"v")
    assert sent.served(1) == {b"v": "UNKNOWN_TOPIC_OR_PART"}
    assert classify("UNKNOWN_TOPIC_OR_PART") is Outcome.HOLD
    with pytest.raises(KafkaException) as raised:  # from now on produce() says it itself
        sent.send(b"w")
    fault = sent.client.refusal(raised.value)
    assert fault is not None
    assert fault.name() in {"_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART"}
    assert classify(fault.name()) is Outcome.HOLD


def test_a_partition_nobody_made(kafka: RealKafka, connect: Callable[..., KafkaClient]) -> None:
    topic = make_topic(kafka)
    client = connect(brokers=kafka.bootstrap_servers)
    known = Sent(client, topic)
    known.send(b"v")
    assert known.served(1) == {b"v": None}
    sent = Sent(client, topic, partition=7)
    try:
        sent.send(b"w")
        found: Any = sent.served(1)[b"w"]
    except KafkaException as error:
        fault = client.refusal(error)
        found = fault and fault.name()
    assert found == "_UNKNOWN_PARTITION"
    assert classify("_UNKNOWN_PARTITION") is Outcome.HOLD
    assert not answered("_UNKNOWN_PARTITION")


def allow(kafka: RealKafka, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    names = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:alice", "*")
    binding = AclBinding(*names, AclOperation.WRITE, AclPermissionType.ALLOW)
    admin.create_acls([binding])[binding].result(_WAIT)


def test_a_user_who_may_write_nothing_then_elsewhere_then_here(
    kafka: RealKafka, connect: Callable[..., KafkaClient]
) -> None:
    topic, other = make_topic(kafka), make_topic(kafka)
    nobody = Sent(connect(**kafka.secure_settings()), topic)
    nobody.send(b"v")
    end = time.monotonic() + _WAIT
    while "CLUSTER_AUTHORIZATION_FAILED" not in nobody.raised:
        assert time.monotonic() < end, (nobody.names, nobody.raised)
        nobody.poll(0.2)
    assert classify("CLUSTER_AUTHORIZATION_FAILED") is Outcome.HOLD
    assert not answered("CLUSTER_AUTHORIZATION_FAILED")

    allow(kafka, other)
    elsewhere = Sent(connect(**kafka.secure_settings()), topic)
    elsewhere.send(b"v")
    assert elsewhere.served(1) == {b"v": "TOPIC_AUTHORIZATION_FAILED"}
    assert classify("TOPIC_AUTHORIZATION_FAILED") is Outcome.HOLD
    assert answered("TOPIC_AUTHORIZATION_FAILED")

    allow(kafka, topic)
    here = Sent(connect(**kafka.secure_settings()), topic)
    here.send(b"w")
    assert here.served(1) == {b"w": None}
