"""Letters of consumers on real Kafka: back to their topic, and straight to the handlers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer as PlainConsumer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from support.books import LONG
from support.consuming import event_value
from support.events import OrderPlaced, registry
from support.kafka_reader import read_topic
from support.processes import wait_until
from tidings import Consumer, DeadLetter, DeadLetterTopic, Message, Publisher, Reject, Replay, Settings
from tidings.letters.replay_report import ReplayReport
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic

_TESTS = Path(__file__).parent.parent
_PROGRAM = _TESTS / "kafka" / "programs" / "replays_to_handlers.py"
Handle = Callable[[Message[OrderPlaced]], object]


@pytest.fixture(scope="module")
def kafka() -> Iterator[RealKafka]:
    own = {
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "group.consumer.min.heartbeat.interval.ms": "200",
        "group.consumer.heartbeat.interval.ms": "200",
    }
    with RealKafka(config=own) as kafka:
        yield kafka


class Shop:
    """A topic of orders, its dead-letter topic, and groups that handle them."""

    def __init__(self, kafka: RealKafka, **dlq_config: str) -> None:
        self.brokers = kafka.bootstrap_servers
        self.orders, self.dlq = unique_topic(), unique_topic()
        kafka.create_topic(self.orders, 4)
        kafka.create_topic(self.dlq, 2, config=dlq_config)
        self.publisher = Publisher(brokers=self.brokers, registry=registry, durability="memory")

    def publish(self, *totals: int) -> None:
        for total in totals:
            self.publisher.publish(OrderPlaced(f"o-{total % 7}", total), topic=self.orders)
        assert self.publisher.flush(LONG)

    def publish_large(self, total: int) -> None:
        """Some 10 kB that no codec makes smaller."""
        value = event_value(order_id="o", total=total, more=os.urandom(5000).hex())
        assert self.publisher.produce(self.orders, value, b"o", headers={"event_type": "order.placed"}).wait(
            LONG
        )

    def consumer(self, group: str, handle: Handle, **settings: Any) -> Consumer:
        given = {"on_outage": "letter", "group_protocol": "consumer", "dlq_topic": self.dlq, **settings}
        consumer = Consumer(brokers=self.brokers, topics=self.orders, group_id=group, **given)

        @consumer.on(OrderPlaced, retries=0)
        def call(message: Message[OrderPlaced]) -> None:
            handle(message)

        return consumer

    def fail(self, group: str, count: int, handled: int = 0, **settings: Any) -> None:
        """Let a consumer of this group fail with what has the totals from 0 to 99, until so many did."""

        def handle(message: Message[OrderPlaced]) -> None:
            if message.data.total < 100:
                raise RuntimeError("no")

        self.run(self.consumer(group, handle, **settings), letters=count, handled=handled)

    def run(self, consumer: Consumer, *, letters: int = 0, handled: int = 0) -> None:
        with consumer:
            assert wait_until(lambda: consumer.stats().dead_lettered == letters, LONG), consumer.stats()
            assert wait_until(lambda: consumer.stats().handled == handled, LONG), consumer.stats()
        assert consumer.close().unfinished == 0

    def source(self, dlq: str | None = None) -> DeadLetterTopic:
        return DeadLetterTopic(Settings(brokers=self.brokers), dlq or self.dlq)

    def to_topic(self, **options: Any) -> ReplayReport:
        return Replay(source=self.source(), publisher=self.publisher, **{"all": True, **options}).run()

    def to_handlers(self, consumer: Consumer, **options: Any) -> ReplayReport:
        return Replay(source=self.source(), consumer=consumer, **{"all": True, **options}).run()

    def letters(self, count: int) -> list[DeadLetter]:
        return [DeadLetter.decode(record.value) for record in read_topic(self.brokers, self.dlq, count)]

    def committed(self, group: str) -> dict[int, int]:
        client = PlainConsumer({"bootstrap.servers": self.brokers, "group.id": group})
        try:
            asked = [TopicPartition(self.orders, number) for number in range(4)]
            found = client.committed(asked, timeout=LONG)
            return {it.partition: it.offset for it in found if it.offset >= 0}
        finally:
            client.close()


@pytest.fixture
def shop(kafka: RealKafka) -> Iterator[Shop]:
    shop = Shop(kafka)
    yield shop
    shop.publisher.close()


def a_group() -> str:
    return f"group-{uuid.uuid4()}"


def test_to_the_handlers_once_and_nobody_else_sees_it(shop: Shop) -> None:
    group, seen = a_group(), list[Message[OrderPlaced]]()
    shop.publish(*range(60), *range(100, 110))
    shop.fail(group, 60, 10)
    committed, records = shop.committed(group), read_topic(shop.brokers, shop.orders, 70)
    assert sum(committed.values()) == 70
    consumer = shop.consumer(group, seen.append)
    report = shop.to_handlers(consumer, who="ada")
    assert (report.matched, report.replayed, report.stopped) == (60, 60, "")
    assert sorted(it.data.total for it in seen) == list(range(60))
    for key in range(7):
        assert [it.data.total for it in seen if it.data.total % 7 == key] == list(range(key, 60, 7))
    where = {(it.partition, it.offset): it for it in records}
    for message in seen:
        record = where[message.partition, message.offset]
        assert (message.key, message.value, message.headers) == (record.key, record.value, record.headers)
        stamp = message.record_timestamp
        assert stamp is not None
        assert round(stamp.timestamp() * 1000) == record.timestamp
    assert shop.committed(group) == committed
    assert len(read_topic(shop.brokers, shop.orders, 70)) == 70
    again = shop.to_handlers(consumer)
    assert (again.replayed, len(seen)) == (0, 60)
    assert shop.to_topic().replayed == 0, "what is handled is not sent either"


def test_to_the_handlers_of_a_consumer_that_runs(shop: Shop) -> None:
    group, seen, lock = a_group(), Counter[int](), threading.Lock()
    shop.publish(*range(20))
    shop.fail(group, 20)

    def handle(message: Message[OrderPlaced]) -> None:
        with lock:
            seen[message.data.total] += 1

    consumer = shop.consumer(group, handle)
    with consumer:
        shop.publish(*range(100, 120))
        assert shop.to_handlers(consumer).replayed == 20
        assert wait_until(lambda: consumer.stats().handled == 20, LONG)
    assert seen == Counter([*range(20), *range(100, 120)])


def test_back_to_the_topic_every_group_sees_it(shop: Shop) -> None:
    bills, mails, seen = a_group(), a_group(), list[Message[OrderPlaced]]()
    shop.publish(*range(10))
    shop.fail(bills, 10)
    shop.run(shop.consumer(mails, lambda _: None), handled=10)
    before = {it.event_id: it for it in shop.letters(10)}
    assert shop.to_topic().replayed == 10
    shop.run(shop.consumer(bills, seen.append), handled=10)
    shop.run(shop.consumer(mails, lambda _: None), handled=10)
    assert sorted(it.data.total for it in seen) == list(range(10))
    for message in seen:
        letter = before[message.event_id]
        assert (message.value, message.key) == (letter.value, letter.key)
        assert message.headers[:-2] == letter.record_headers
        assert dict(message.headers)["tidings-letter-id"] == letter.letter_id.encode()


def test_letters_of_two_groups(shop: Shop) -> None:
    bills, mails = a_group(), a_group()
    shop.publish(*range(10))
    shop.fail(bills, 10)
    shop.fail(mails, 10)
    seen: dict[str, list[int]] = {bills: [], mails: []}
    consumers = {
        group: shop.consumer(group, lambda message, group=group: seen[group].append(message.data.total))  # type: ignore[misc]
        for group in (bills, mails)
    }
    report = shop.to_handlers(consumers[bills])
    assert (report.replayed, report.skipped) == (10, 10)
    assert (sorted(seen[bills]), seen[mails]) == (list(range(10)), [])
    only = shop.to_topic(where={"group": bills})
    assert (only.matched, only.duplicates + only.skipped) == (0, 20)
    assert shop.to_handlers(consumers[mails]).replayed == 10
    assert sorted(seen[mails]) == list(range(10))
    assert shop.to_topic().considered == 0 or shop.to_topic().replayed == 0


def test_failing_again_its_count_goes_on_until_it_is_parked(shop: Shop) -> None:
    group = a_group()
    shop.publish(0)
    shop.fail(group, 1)
    for count in range(1, 3):
        assert shop.to_topic(max_replays=2).replayed == 1
        shop.fail(group, 1)
        letters = {it.letter_id: it for it in shop.letters(count + 1)}
        assert sorted(it.replay_count for it in letters.values()) == list(range(count + 1))
        assert len({it.event_id for it in letters.values()}) == 1
    report = shop.to_topic(max_replays=2)
    assert (report.parked, report.replayed) == (1, 0)
    (parked,) = read_topic(shop.brokers, f"{shop.dlq}.parked", 1)
    assert DeadLetter.decode(parked.value).replay_count == 2


def test_a_letter_written_twice_is_replayed_once_and_a_failure_after_that_again(shop: Shop) -> None:
    group, seen = a_group(), list[int]()

    def fail(message: Message[OrderPlaced]) -> None:
        raise RuntimeError("no")

    def rewind() -> None:
        """A consumer that reads the one event again, and gives it up."""
        consumer = shop.consumer(group, fail)
        with consumer:
            assert wait_until(lambda: len(consumer.stats().partitions) == 4, LONG)
            consumer.rewind(1)
            assert wait_until(lambda: consumer.stats().dead_lettered == 1, LONG)

    shop.publish(5)
    shop.fail(group, 1)
    rewind()
    first, second = shop.letters(2)
    assert first.letter_id == second.letter_id
    fixed = shop.consumer(group, lambda message: seen.append(message.data.total))
    report = shop.to_handlers(fixed)
    assert (report.replayed, report.duplicates, seen) == (1, 1, [5])
    assert shop.to_handlers(fixed).replayed == 0
    rewind()
    assert shop.to_handlers(fixed).replayed == 1, "it has failed since"
    assert seen == [5, 5]


def test_an_undecodable_letter_goes_back_as_it_is_and_to_no_handler(shop: Shop) -> None:
    group = a_group()
    shop.publisher.produce(shop.orders, b"\xff\x00", b"\xfe", headers={"x": b"\xfd"})
    assert shop.publisher.flush(LONG)
    shop.fail(group, 1)
    consumer = shop.consumer(group, lambda _: None)
    report = shop.to_handlers(consumer)
    assert (report.failed, report.replayed) == (1, 0)
    assert len(report.problems) == 1
    assert shop.to_topic().replayed == 1
    first, second = sorted(read_topic(shop.brokers, shop.orders, 2), key=lambda it: it.offset)
    assert (first.key, first.value) == (second.key, second.value) == (b"\xfe", b"\xff\x00")
    assert second.headers[: len(first.headers)] == first.headers
    shop.fail(group, 1)
    assert shop.to_topic(max_replays=1).parked == 1


def test_too_large_for_its_letter_it_is_fetched_from_its_place(kafka: RealKafka) -> None:
    shop, group, seen = Shop(kafka, **{"max.message.bytes": "4000"}), a_group(), list[Message[OrderPlaced]]()
    shop.publish_large(0)
    shop.publish_large(1)
    shop.fail(group, 2)
    assert all(letter.event_left_out and letter.value is None for letter in shop.letters(2))
    consumer = shop.consumer(group, seen.append)
    assert shop.to_handlers(consumer, limit=1, all=False).replayed == 1
    assert len(seen[0].value or b"") > 10_000
    assert shop.to_topic().replayed == 1
    values = Counter(record.value for record in read_topic(shop.brokers, shop.orders, 3))
    assert sorted(values.values()) == [1, 2]
    assert None not in values

    shop.fail(group, 1)
    admin = AdminClient({"bootstrap.servers": shop.brokers})
    ends = [TopicPartition(shop.orders, number, -1) for number in range(4)]
    for deleted in admin.delete_records(ends).values():
        deleted.result(LONG)
    for report in (shop.to_topic(), shop.to_handlers(consumer)):
        assert (report.failed, report.replayed) == (1, 0)
        assert "was too large for the letter, and is no more at" in report.problems[0]
    assert shop.to_topic().matched == 1, "its letter stays"
    shop.publisher.close()


def test_what_a_handler_rejects_is_parked(shop: Shop) -> None:
    group = a_group()

    def handle(message: Message[OrderPlaced]) -> None:
        if message.data.total % 2:
            raise Reject("odd")

    shop.publish(*range(10))
    shop.fail(group, 10)
    consumer = shop.consumer(group, handle)
    report = shop.to_handlers(consumer)
    assert (report.replayed, report.parked) == (5, 5)
    parked = [DeadLetter.decode(it.value) for it in read_topic(shop.brokers, f"{shop.dlq}.parked", 5)]
    assert all("odd" in it.failure_reason and it.replay_count == 1 for it in parked)
    assert shop.to_handlers(consumer).matched == 0
    source = shop.source(f"{shop.dlq}.parked")
    seen: list[Message[OrderPlaced]] = []
    fixed = shop.consumer(group, seen.append)
    assert Replay(source=source, consumer=fixed, all=True).run().replayed == 5


def test_each_topic_has_a_dead_letter_topic_of_its_own(kafka: RealKafka, shop: Shop) -> None:
    group, seen = a_group(), list[Message[OrderPlaced]]()
    kafka.create_topic(f"dead.{shop.orders}", 1)
    shop.publish(*range(5))
    shop.fail(group, 5, dlq_topic="dead.{topic}")
    consumer = shop.consumer(group, seen.append)
    source = shop.source(f"dead.{shop.orders}")
    assert Replay(source=source, consumer=consumer, all=True).run().replayed == 5
    assert len(seen) == 5


def test_a_run_that_is_killed_repeats_what_was_in_flight_and_loses_nothing(
    kafka: RealKafka, shop: Shop, tmp_path: Path
) -> None:
    results, group, ledger = unique_topic(), a_group(), tmp_path / "ledger"
    kafka.create_topic(results, 1)
    total = 99
    shop.publish(*range(total))
    shop.fail(group, total)
    command = [str(_PROGRAM), shop.brokers, shop.orders, shop.dlq, results, group, str(ledger)]

    def start() -> subprocess.Popen[bytes]:
        env = {**os.environ, "PYTHONPATH": str(_TESTS), "XDG_STATE_HOME": str(tmp_path)}
        return subprocess.Popen([sys.executable, *command], env=env)

    def handled() -> list[int]:
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        return [int(line.split()[1]) for line in lines]

    for kill in range(3):
        process = start()
        before = len(handled())
        assert wait_until(lambda before=before: len(handled()) > before + 20, LONG)  # type: ignore[misc]
        process.kill()
        process.wait(LONG)
        assert len(handled()) - len(set(handled())) <= 16 * (kill + 1)
    process = start()
    assert process.wait(LONG * 2) == 0
    assert set(handled()) == set(range(total))
    assert len(handled()) - total <= 16 * 3
    billed = {record.json()["data"]["number"] for record in read_topic(shop.brokers, results, total)}
    assert billed == set(range(total))
