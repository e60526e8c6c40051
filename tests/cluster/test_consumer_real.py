"""Consuming on real Kafka: gaps, rebalances, kills, outages, and a dead-letter topic that is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from support.books import LONG
from support.consuming import event_value
from support.events import OrderPlaced, registry
from support.kafka_reader import committed, read_topic
from support.processes import wait_until
from tidings import Consumer, DeadLetter, Message, Publisher
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic

PROTOCOLS = ["classic", "consumer"]


@pytest.fixture(scope="module")
def kafka() -> Iterator[RealKafka]:
    """A Kafka where topics are made on purpose only, and whose groups come together at once."""
    own = {
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "group.consumer.min.heartbeat.interval.ms": "200",
        "group.consumer.heartbeat.interval.ms": "200",
        "group.min.session.timeout.ms": "1000",
    }
    with RealKafka(config=own) as kafka:
        yield kafka


@pytest.fixture
def topic(kafka: RealKafka) -> str:
    name = unique_topic()
    kafka.create_topic(name, 4)
    return name


def make(kafka: RealKafka, topics: Any, group: str | None = None, **settings: Any) -> Consumer:
    given = {"group_id": group or f"group-{uuid.uuid4()}", "retry_backoff": 0.001, **settings}
    return Consumer(brokers=kafka.bootstrap_servers, topics=topics, **given)


def publish(kafka: RealKafka, topic: str, numbers: range) -> None:
    with Publisher(brokers=kafka.bootstrap_servers, registry=registry, durability="memory") as publisher:
        for number in numbers:
            publisher.publish(OrderPlaced(f"o-{number % 7}", number), topic=topic)
        assert publisher.flush(LONG)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_handled_is_committed_when_it_leaves(kafka: RealKafka, topic: str, protocol: str) -> None:
    publish(kafka, topic, range(100))
    group = f"group-{uuid.uuid4()}"
    consumer = make(kafka, topic, group, group_protocol=protocol)

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None: ...

    with consumer:
        assert wait_until(lambda: consumer.stats().handled == 100, LONG)
    assert consumer.close().left
    assert sum(committed(kafka.bootstrap_servers, topic, group).values()) == 100


def test_transactions_leave_gaps_that_hold_nothing_back(kafka: RealKafka) -> None:
    topic, group = unique_topic(), f"group-{uuid.uuid4()}"
    kafka.create_topic(topic, 1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(LONG)
    for number in range(10):
        producer.begin_transaction()
        producer.produce(topic, event_value(event_id=str(number), order_id="o", total=number), b"k")
        if number % 3:
            producer.commit_transaction(LONG)
        else:
            producer.flush(LONG)  # or nothing of it would ever reach the log
            producer.abort_transaction(LONG)
    seen: list[int] = []
    consumer = make(kafka, topic, group)

    @consumer.on(OrderPlaced)
    def handle(message: Message[OrderPlaced]) -> None:
        seen.append(message.data.total)

    with consumer:
        assert wait_until(lambda: len(seen) == 6, LONG)
    assert seen == [1, 2, 4, 5, 7, 8]
    (end,) = committed(kafka.bootstrap_servers, topic, group, 1).values()
    assert end == 2 * 8 + 1, "behind the last event, among gaps"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_members_that_come_and_go_lose_nothing_and_keep_the_order(
    kafka: RealKafka, topic: str, protocol: str
) -> None:
    group = f"group-{uuid.uuid4()}"
    seen: list[tuple[int, int]] = []
    lock = threading.Lock()

    def member() -> Consumer:
        consumer = make(kafka, topic, group, group_protocol=protocol)

        @consumer.on(OrderPlaced)
        def handle(message: Message[OrderPlaced]) -> None:
            time.sleep(0.0005)
            with lock:
                seen.append((message.partition, message.data.total))

        consumer.start()
        return consumer

    total, done = 6000, threading.Event()

    def write() -> None:
        for first in range(0, total, 300):
            publish(kafka, topic, range(first, first + 300))
        done.set()

    writer = threading.Thread(target=write)
    first = member()
    writer.start()
    members = [first]
    for _ in range(2):
        members.append(member())
        assert wait_until(lambda: all(it.stats().partitions for it in members), LONG)
        members.pop(0).close()
    assert done.wait(LONG)
    assert wait_until(lambda: len({number for _, number in seen}) == total, LONG)
    for consumer in members:
        consumer.close()
    writer.join()
    assert sum(committed(kafka.bootstrap_servers, topic, group).values()) == total
    firsts: dict[tuple[int, int], list[int]] = defaultdict(list)
    for partition, number in seen:
        if number not in firsts[partition, number % 7]:
            firsts[partition, number % 7].append(number)
    for numbers in firsts.values():
        assert numbers == sorted(numbers)
    # At least once. As a rule nothing comes twice, but who leaves commits without waiting for the answer.
    assert len(seen) < 2 * total


def test_a_worker_that_is_killed_loses_neither_events_nor_results(
    kafka: RealKafka, topic: str, tmp_path: Path
) -> None:
    results, ledger, group = unique_topic(), tmp_path / "ledger", f"group-{uuid.uuid4()}"
    kafka.create_topic(results, 4)
    total = 4000
    publish(kafka, topic, range(total))
    tests = Path(__file__).parent.parent
    command = [str(tests / "consuming" / "programs" / "works.py"), kafka.bootstrap_servers, topic, results]

    def handled() -> list[str]:
        return ledger.read_text().splitlines() if ledger.exists() else []

    def more_than(before: int) -> bool:
        return len(handled()) > before

    writer = threading.Thread(target=publish, args=(kafka, topic, range(total, 2 * total)))
    for kill in range(6):
        process = subprocess.Popen(
            [sys.executable, *command, group, str(ledger)],
            env={**os.environ, "PYTHONPATH": str(tests), "XDG_STATE_HOME": str(tmp_path)},
        )
        before = len(handled())
        if kill == 5:
            writer.start()
            writer.join()
            assert wait_until(lambda: len(set(handled())) == 2 * total, LONG)
            process.terminate()
        else:
            assert wait_until(partial(more_than, before), LONG)
            process.kill()
        process.wait(LONG)
    lines = [tuple(map(int, line.split())) for line in handled()]
    assert {number for _, _, number in lines} == set(range(2 * total))
    billed = {record.json()["data"]["number"] for record in read_topic(kafka.bootstrap_servers, results, 1)}
    assert billed == set(range(2 * total)), "no offset was committed before its result was in Kafka"
    firsts: dict[tuple[int, int], list[int]] = defaultdict(list)
    for partition, key, number in lines:
        if not firsts[partition, key] or number > firsts[partition, key][-1]:
            firsts[partition, key].append(number)
    assert sum(map(len, firsts.values())) == 2 * total, "first attempts came in order"


def test_offsets_wait_for_a_dead_letter_topic_that_is_missing(kafka: RealKafka, topic: str) -> None:
    publish(kafka, topic, range(50))
    dlq, group = unique_topic(), f"group-{uuid.uuid4()}"
    consumer = make(kafka, topic, group, dlq_topic=dlq, retry_max=1)
    failed: list[tuple[int, int]] = []

    @consumer.on(OrderPlaced)
    def handle(message: Message[OrderPlaced]) -> None:
        if message.data.total == 25:
            failed.append((message.partition, message.offset))
            raise RuntimeError("25")

    with consumer:
        assert wait_until(lambda: consumer.stats().handled == 49, LONG)
        assert wait_until(lambda: consumer.health().cause == "letters_wait", LONG)
        assert consumer.health().ready
        partition, offset = failed[0]
        assert wait_until(lambda: consumer.stats().partitions[topic, partition].position == offset, LONG)
        kafka.create_topic(dlq, 1)
        assert wait_until(lambda: consumer.stats().dead_lettered == 1, LONG)
        assert wait_until(lambda: bool(consumer.health()), LONG)
    assert sum(committed(kafka.bootstrap_servers, topic, group).values()) == 50
    (record,) = read_topic(kafka.bootstrap_servers, dlq, 1)
    letter = DeadLetter.decode(record.value)
    assert (letter.partition, letter.offset, letter.group) == (partition, offset, group)


def test_rewinding_to_a_time_reads_what_came_since(kafka: RealKafka, topic: str) -> None:
    publish(kafka, topic, range(20))
    time.sleep(0.01)  # the records' times are in milliseconds
    between = datetime.now(UTC)
    publish(kafka, topic, range(20, 30))
    seen: list[int] = []
    consumer = make(kafka, topic)

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        seen.append(order.total)

    with consumer:
        assert wait_until(lambda: len(seen) == 30, LONG)
        consumer.rewind(between)
        assert wait_until(lambda: len(seen) == 40, LONG)
        assert sorted(seen[30:]) == list(range(20, 30))
        consumer.rewind(datetime.now(UTC) + timedelta(days=1))
        publish(kafka, topic, range(30, 31))
        assert wait_until(lambda: len(seen) == 41, LONG)
    assert seen[40:] == [30]


def test_closing_is_bounded_while_the_broker_stands_still(kafka: RealKafka, topic: str) -> None:
    publish(kafka, topic, range(10))
    consumer = make(kafka, topic)

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None: ...

    consumer.start()
    assert wait_until(lambda: consumer.stats().handled == 10, LONG)
    kafka.pause(1)
    try:
        report = consumer.close(1)
    finally:
        kafka.resume(1)
    assert not report.left
    assert report.duration < 1 + 3 + 1


def test_what_retention_removed_before_it_was_read_is_counted(kafka: RealKafka) -> None:
    topic, group = unique_topic(), f"group-{uuid.uuid4()}"
    kafka.create_topic(topic, 1)
    publish(kafka, topic, range(10))

    def life(count: int) -> int:
        consumer = make(kafka, topic, group)

        @consumer.on(OrderPlaced)
        def handle(order: OrderPlaced) -> None: ...

        with consumer:
            assert wait_until(lambda: consumer.stats().handled == count, LONG)
        return consumer.stats().expired_unread

    assert life(10) == 0
    publish(kafka, topic, range(10, 30))
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    place = TopicPartition(topic, 0, 25)
    admin.delete_records([place])[place].result(LONG)
    assert life(5) == 15


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_topic_that_is_not_there_is_told_and_read_once_it_is(
    kafka: RealKafka, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    topic = unique_topic()
    often = {"topic.metadata.refresh.interval.ms": 1000}
    consumer = make(kafka, topic, group_protocol=protocol, client_config=often)

    @consumer.on(OrderPlaced)
    def handle(_: OrderPlaced) -> None: ...

    with consumer:
        assert wait_until(lambda: consumer.health().cause == "cannot_read", LONG)
        assert topic in consumer.health().message
        assert topic in caplog.text
        kafka.create_topic(topic, 1)
        publish(kafka, topic, range(3))
        assert wait_until(lambda: consumer.stats().handled == 3, LONG)
        assert wait_until(lambda: consumer.health().ok, LONG)
