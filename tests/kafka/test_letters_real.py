"""A Publisher and a broker that refuses, on real Kafka: every neighbour arrives, and each letter is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not marked so for mypy
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from support.books import check_books, check_closed, settle
from support.kafka_reader import read_topic
from support.processes import wait_until
from tidings import DeadLetter, DeadLetterTopic, Delivery, DeliveryError, Publisher, Replay, State
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic

_WAIT = 60.0
_LIMIT = 5000
Make = Callable[..., Publisher]


@pytest.fixture(scope="module")
def kafka() -> Iterator[RealKafka]:
    """A Kafka where topics are made on purpose only and users may do nothing by default."""
    own = {"auto.create.topics.enable": "false", "allow.everyone.if.no.acl.found": "false"}
    with RealKafka(config=own) as kafka:
        yield kafka


@pytest.fixture
def make(kafka: RealKafka, tmp_path: Path) -> Iterator[Make]:
    made: list[Publisher] = []

    def one(**overrides: Any) -> Publisher:
        given = {"brokers": kafka.bootstrap_servers, "service": "letters", "store_dir": tmp_path, **overrides}
        made.append(Publisher(**{"retry_backoff_max": "500ms", **given}))
        return made[-1]

    yield one
    for publisher in made:
        check_closed(publisher, 5)


def make_topic(kafka: RealKafka, name: str | None = None, **config: str) -> str:
    topic = name or unique_topic()
    kafka.create_topic(topic, 1, config={name.replace("_", "."): value for name, value in config.items()})
    return topic


def letters_in(kafka: RealKafka, topic: str, count: int) -> list[DeadLetter]:
    return [DeadLetter.decode(record.value) for record in read_topic(kafka.bootstrap_servers, topic, count)]


def values_in(kafka: RealKafka, topic: str, count: int) -> set[bytes | None]:
    return {record.value for record in read_topic(kafka.bootstrap_servers, topic, count)}


def neighbours(
    publisher: Publisher, topic: str, guilty: Callable[[], Delivery]
) -> tuple[Delivery, set[bytes]]:
    """Twenty innocent events in one batch with a guilty one in their middle."""
    values = {b"innocent %d" % number for number in range(20)}
    for number in range(10):
        publisher.produce(topic, b"innocent %d" % number, "k")
    delivery = guilty()
    for number in range(10, 20):
        publisher.produce(topic, b"innocent %d" % number, "k")
    return delivery, values


@pytest.mark.parametrize("mode", ["memory", "spill", "write-ahead"])
@pytest.mark.parametrize("what", ["too large", "keyless to a compacted topic"])
def test_one_guilty_event_becomes_one_letter_and_every_neighbour_arrives(
    kafka: RealKafka, make: Make, mode: str, what: str
) -> None:
    dlq = make_topic(kafka)
    where = {"store_dir": None} if mode == "memory" else {}
    publisher = make(durability=mode, dlq_topic=dlq, flush_timeout="200ms", **where)
    if what == "too large":
        topic = make_topic(kafka, max_message_bytes=str(_LIMIT))
        value, key, code = os.urandom(_LIMIT + 1), "k", "MSG_SIZE_TOO_LARGE"
    else:
        topic = make_topic(kafka, cleanup_policy="compact")
        value, key, code = b"\x00\xff binary", None, "INVALID_RECORD"
    guilty, innocent = neighbours(
        publisher,
        topic,
        lambda: publisher.produce(topic, value, key, headers=[("mine", b"\x00"), ("n", None)]),
    )
    stats = settle(publisher)
    assert (stats.delivered, stats.dead_lettered, stats.lost) == (20, 1, 0)
    assert wait_until(lambda: publisher.stats().dead_letter_queue_size == 0)
    assert values_in(kafka, topic, 20) == innocent
    (letter,) = letters_in(kafka, dlq, 1)
    assert (letter.event_id, letter.topic, letter.error_code) == (guilty.event_id, topic, code)
    assert letter.value == value
    assert letter.key == (None if key is None else key.encode())
    assert letter.record_headers[:2] == [("mine", b"\x00"), ("n", None)]
    assert (letter.certainty, letter.origin) == ("not_delivered", "publisher")
    where_is = publisher.find(guilty.event_id, topic=topic)
    assert (where_is.place, where_is.letter_id) == ("dead_lettered", letter.letter_id)
    if guilty.state is State.DEAD_LETTERED:
        with pytest.raises(DeliveryError) as raised:
            guilty.wait(0)
        assert (raised.value.kafka_error, raised.value.letter_id) == (code, letter.letter_id)


def test_forty_small_events_whose_batch_is_too_large_all_arrive(kafka: RealKafka, make: Make) -> None:
    topic, dlq = make_topic(kafka, max_message_bytes=str(_LIMIT)), make_topic(kafka)
    publisher = make(dlq_topic=dlq, flush_timeout="200ms")
    values = {os.urandom(250) for _ in range(40)}
    for value in values:
        publisher.produce(topic, value, "k")
    stats = settle(publisher)
    assert (stats.delivered, stats.dead_lettered, stats.lost) == (40, 0, 0)
    assert values_in(kafka, topic, 40) == values


def test_a_bad_timestamp_is_left_out_and_every_neighbour_arrives(kafka: RealKafka, make: Make) -> None:
    topic, dlq = make_topic(kafka, message_timestamp_after_max_ms="3600000"), make_topic(kafka)
    publisher = make(dlq_topic=dlq, flush_timeout="200ms")
    future = time.time_ns() // 1_000_000 + 7_200_000
    _, innocent = neighbours(
        publisher, topic, lambda: publisher.produce(topic, b"late", "k", timestamp=future)
    )
    stats = settle(publisher)
    assert (stats.delivered, stats.dead_lettered, stats.lost) == (21, 0, 0)
    assert values_in(kafka, topic, 21) == innocent | {b"late"}


def allow(kafka: RealKafka, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    names = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:alice", "*")
    binding = AclBinding(*names, AclOperation.WRITE, AclPermissionType.ALLOW)
    admin.create_acls([binding])[binding].result(_WAIT)


def enlarge(kafka: RealKafka, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    entry = ConfigEntry("max.message.bytes", "1000000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(_WAIT)


@pytest.mark.parametrize("dlq_is", ["missing", "denied", "too small"])
def test_a_letter_waits_while_its_topic_is_missing_denied_or_too_small(
    kafka: RealKafka, make: Make, dlq_is: str
) -> None:
    topic, dlq = make_topic(kafka, cleanup_policy="compact"), unique_topic()
    allow(kafka, topic)
    if dlq_is == "denied":
        make_topic(kafka, dlq)
    elif dlq_is == "too small":
        make_topic(kafka, dlq, max_message_bytes="100")
        allow(kafka, dlq)
    else:
        allow(kafka, dlq)
    publisher = make(dlq_topic=dlq, retry_max=2, **kafka.secure_settings())
    guilty = publisher.produce(topic, b"keyless")
    with pytest.raises(DeliveryError):
        guilty.wait(_WAIT)
    stats = settle(publisher)
    assert (stats.dead_lettered, stats.dead_letter_queue_size, stats.lost) == (1, 1, 0)
    assert publisher.find(guilty.event_id, timeout=1).place == "dead_lettered"
    if dlq_is == "too small":  # it waits for a person, who has the topic enlarged and replays it
        parked = publisher.stored_letters(parked=True)
        assert wait_until(lambda: sum(1 for _ in parked.survey("look")) == 1)
        check_books(publisher)
        return
    if dlq_is == "denied":
        allow(kafka, dlq)
    else:
        make_topic(kafka, dlq)
    assert wait_until(lambda: publisher.stats().dead_letter_queue_size == 0, timeout=_WAIT)
    (letter,) = letters_in(kafka, dlq, 1)
    assert letter.value == b"keyless"


def test_a_fixed_topic_and_a_replay_deliver_what_was_refused(kafka: RealKafka, make: Make) -> None:
    topic, dlq = make_topic(kafka, max_message_bytes=str(_LIMIT)), make_topic(kafka)
    make_topic(kafka, f"{dlq}.replays", cleanup_policy="compact")
    publisher = make(dlq_topic=dlq)
    large = os.urandom(_LIMIT + 1)
    guilty = publisher.produce(topic, large, "k")
    settle(publisher)
    assert wait_until(lambda: publisher.stats().dead_letter_queue_size == 0)
    enlarge(kafka, topic)
    source = DeadLetterTopic(publisher._settings, dlq)
    report = Replay(source=source, publisher=publisher, where={"topic": topic}, limit=10).run()
    assert (report.replayed, report.failed) == (1, 0)
    stats = settle(publisher)
    assert (stats.accepted, stats.replayed, stats.delivered, stats.dead_lettered) == (1, 1, 1, 1)
    (record,) = read_topic(kafka.bootstrap_servers, topic, 1)
    assert record.value == large
    assert ("event_id", guilty.event_id.encode()) in record.headers
    found = publisher.find(guilty.event_id, topic=topic)
    assert (found.place, found.offset) == ("delivered", record.offset)


def test_a_user_who_may_write_nothing_is_no_loss(kafka: RealKafka, make: Make) -> None:
    """Without any permission the client fails for good: it is made anew until somebody allows something."""
    topic = make_topic(kafka)
    publisher = make(**{**kafka.secure_settings("scram-sha-256"), "outage_after": "2s"})
    sent = [publisher.produce(topic, b"%d" % number, "k") for number in range(10)]
    for delivery in sent:
        delivery.wait_safe(_WAIT)
    allow(kafka, topic)
    stats = settle(publisher)
    assert (stats.delivered, stats.lost, stats.dead_lettered) == (10, 0, 0)
    assert values_in(kafka, topic, 10) == {b"%d" % number for number in range(10)}
