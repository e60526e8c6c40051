"""Consuming on real Kafka while its topics, its offsets, its letters or what is behind its handlers fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from support.books import LONG
from support.consuming import event_value
from support.events import OrderPlaced
from support.kafka_reader import read_topic
from support.processes import wait_until
from support.watched import Load, Watched
from tidings import Consumer, Message
from tidings.consuming.states import ConsumerStats
from tidings.testing import RealKafka
from tidings.testing.faults import nodes
from tidings.testing.kafkaadmin import admin_client

FORMS = ["sync", "async"]


@pytest.fixture(scope="module")
def kafka() -> Iterator[RealKafka]:
    """A Kafka that cleans its logs all the time."""
    own = {"auto.create.topics.enable": "false", "log.cleaner.backoff.ms": "100"}
    with RealKafka(config=own) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def admin(kafka: RealKafka) -> AdminClient:
    return admin_client(kafka.bootstrap_servers)


def at_once(message: Message[OrderPlaced]) -> None:
    """A handler with nothing to do."""


def lives(watched: Watched, until: Callable[[], bool] = lambda: True) -> ConsumerStats:
    """A member comes, handles all that there is, and leaves."""
    with watched.consumer(at_once) as consumer:

        def is_through() -> bool:
            partitions = consumer.stats().partitions.values()
            return until() and bool(partitions) and all(it.lag == 0 for it in partitions)

        assert wait_until(is_through, LONG), consumer.stats()
    assert consumer.close().left
    return consumer.stats()


# -- gaps


def test_a_topic_that_is_compacted_while_nobody_reads_it(kafka: RealKafka, tmp_path: Path) -> None:
    """With tombstones in it, and markers of transactions that were committed and aborted."""
    compacted = {"cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.01"}
    with Watched(kafka, tmp_path, partitions=2) as watched:
        load = Load(watched.brokers, watched.topic)
        load.write(200)
        lives(watched)
        transactions(kafka, watched.topic, range(30))
        load.write(400)
        written = len(load.places)

        def is_compacted() -> bool:
            load.write(20)  # a segment ends when something comes after it
            return len(read_topic(watched.brokers, watched.topic, 0)) < written / 2

        with nodes.topic_config(kafka, watched.topic, compacted):
            assert wait_until(is_compacted, LONG)
        load.write(20)
        assert lives(watched).expired_unread == 0, "what was compacted away is no loss"
        records = read_topic(watched.brokers, watched.topic, 0)
        tombstones = {(it.partition, it.offset) for it in records if it.value is None}
        assert tombstones
        kept = watched.check_finished(skipped=tombstones)
        assert len(kept.attempts) < len(load.places)


def transactions(kafka: RealKafka, topic: str, numbers: range) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(LONG)
    for number in numbers:
        producer.begin_transaction()
        key = f"t-{number}".encode()
        producer.produce(topic, event_value(event_id="t", order_id="t", total=number), key)
        if number % 3:
            producer.produce(topic, None, key)
        producer.flush(LONG)
        if number % 2:
            producer.commit_transaction(LONG)
        else:
            producer.abort_transaction(LONG)


# -- offsets


def test_offsets_that_are_deleted_while_nobody_reads(
    kafka: RealKafka, admin: AdminClient, tmp_path: Path
) -> None:
    with Watched(kafka, tmp_path) as watched:
        load = Load(watched.brokers, watched.topic)
        load.write(100)
        lives(watched)
        admin.delete_consumer_groups([watched.group])[watched.group].result(LONG)
        assert watched.is_committed({})
        places = load.write(50)
        lives(watched)
        kept = watched.check_finished(goes_back=True)
        assert {kept.attempts[place] for place in places} == {1}
        assert {kept.attempts[place] for place in kept.places - places} == {2}, "from the beginning again"


def test_offsets_that_are_altered_while_nobody_reads(
    kafka: RealKafka, admin: AdminClient, tmp_path: Path
) -> None:
    """Of one partition back to 10, of another on by 10."""
    with Watched(kafka, tmp_path, partitions=2) as watched:
        load = Load(watched.brokers, watched.topic)
        first = load.write(100)
        lives(watched)
        end = watched.watch.now()[1]
        load.write(100)
        wanted = [TopicPartition(watched.topic, 0, 10), TopicPartition(watched.topic, 1, end + 10)]
        asked = ConsumerGroupTopicPartitions(watched.group, wanted)
        admin.alter_consumer_group_offsets([asked])[watched.group].result(LONG)
        lives(watched)
        passed = {(1, end + number) for number in range(10)}
        kept = watched.check_finished(skipped=passed, goes_back=True)
        assert not passed & set(kept.attempts)
        for partition, offset in first:
            assert kept.attempts[partition, offset] == (2 if partition == 0 and offset >= 10 else 1)


def test_a_log_that_is_truncated_before_a_slow_consumer(
    kafka: RealKafka, admin: AdminClient, tmp_path: Path
) -> None:
    """What is gone is counted, and the rest is handled."""
    goes_on = threading.Event()
    with Watched(kafka, tmp_path, partitions=1) as watched:
        load = Load(watched.brokers, watched.topic, size=5000)
        places = load.write(20_000)

        def work(message: Message[OrderPlaced]) -> None:
            assert goes_on.wait(LONG)

        with watched.consumer(work) as consumer:
            assert wait_until(lambda: any(it.is_paused for it in consumer.stats().partitions.values()), LONG)
            place = TopicPartition(watched.topic, 0, 19_000)
            admin.delete_records([place])[place].result(LONG)
            goes_on.set()
            rest = {it for it in places if it[1] >= 19_000}
            assert wait_until(lambda: watched.has_done(rest), LONG)
            assert wait_until(lambda: consumer.stats().expired_unread > 0, LONG)
        stats = consumer.stats()
        assert stats.handled + stats.expired_unread == 20_000
        assert stats.handled < 19_000
        watched.check_finished()


# -- what is behind a handler


@pytest.mark.parametrize("form", FORMS)
def test_an_outage_behind_the_handler_makes_no_letters(kafka: RealKafka, tmp_path: Path, form: str) -> None:
    is_away = threading.Event()

    def work(message: Message[OrderPlaced]) -> None:
        if is_away.is_set():
            raise ConnectionError("the database is away")

    with Watched(kafka, tmp_path) as watched:
        load = Load(watched.brokers, watched.topic)
        # Long pauses, which are random: attempts must not be used up before five keys have failed.
        with watched.consumer(work, form, retry_backoff=0.5) as consumer:
            with load.flowing(100):
                assert wait_until(lambda: consumer.stats().handled > 100, LONG)
                is_away.set()
                assert wait_until(lambda: consumer.health().cause == "handler_outage", LONG)
                assert not consumer.health().ready
                before = len(load.places)
                assert wait_until(lambda: len(load.places) > before + 300, LONG)
                failed = consumer.stats().failed
                assert consumer.stats().dead_lettered == 0
                is_away.clear()
                assert wait_until(lambda: consumer.health().ok, LONG)
            assert wait_until(lambda: watched.has_done(set(load.places.values())), LONG)
            assert consumer.stats().failed <= failed + 2, "nothing was tried but by a probe"
        kept = watched.check_finished()
        assert not kept.letters
        assert max(kept.attempts.values()) <= 10


# -- letters that cannot be written


@contextmanager
def forbidden(admin: AdminClient, topic: str, user: str) -> Iterator[None]:
    """This user may not write to this topic."""
    rule = (
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        AclOperation.WRITE,
        AclPermissionType.DENY,
    )
    for answer in admin.create_acls([AclBinding(*rule)]).values():
        answer.result(LONG)
    try:
        yield
    finally:
        for removed in admin.delete_acls([AclBindingFilter(*rule)]).values():
            removed.result(LONG)


def has_letters_waiting(consumer: Consumer, count: int) -> bool:
    return consumer.stats().letters_waiting == count and consumer.health().cause == "letters_wait"


@pytest.mark.parametrize("form", FORMS)
def test_offsets_wait_for_a_dead_letter_topic_that_is_denied(
    kafka: RealKafka, admin: AdminClient, tmp_path: Path, form: str
) -> None:
    """Over a restart, and until somebody allows it."""
    numbers = {25, 50, 51, 75}

    def work(message: Message[OrderPlaced]) -> None:
        if message.data.total in numbers:
            raise ValueError("it cannot be billed")

    settings = kafka.secure_settings() | {"close_timeout": "1s"}
    with Watched(kafka, tmp_path, settings=settings) as watched:
        load = Load(kafka.bootstrap_servers, watched.topic)
        load.write(100)
        bad = {load.places[number] for number in numbers}
        good = set(load.places.values()) - bad
        firsts = {partition: min(it[1] for it in bad if it[0] == partition) for partition, _ in bad}
        with forbidden(admin, watched.dlq, "alice"):
            for _ in range(2):
                with watched.consumer(work, form) as consumer:
                    assert wait_until(partial(has_letters_waiting, consumer, 4), LONG)
                    assert watched.has_done(good)
                assert {it: watched.watch.now()[it] for it in firsts} == firsts
        with watched.consumer(work, form) as consumer:
            assert wait_until(lambda: consumer.stats().dead_lettered == 4, LONG)
            assert wait_until(lambda: consumer.health().ok, LONG)
        kept = watched.check_finished()
        assert set(kept.letters) == bad
