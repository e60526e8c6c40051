"""Consumers on the in-memory transport: what no contract says, because only a test can have it happen."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

import pytest

from support.books import LONG
from support.events import OrderPlaced, registry
from support.processes import wait_until
from tidings import Consumer, DeadLetter, Message, Publisher
from tidings.testing import InMemoryTransport
from tidings.testing.memorygroup import MemoryGroup


@pytest.fixture
def transport() -> InMemoryTransport:
    return InMemoryTransport()


def publish(transport: InMemoryTransport, numbers: range, topic: str = "orders") -> None:
    with Publisher(transport=transport.careful(), registry=registry) as publisher:
        for number in numbers:
            publisher.publish(OrderPlaced(f"o-{number % 7}", number), topic=topic)


def make(transport: InMemoryTransport, topics: Any = "orders", **options: Any) -> tuple[Consumer, list[int]]:
    """A consumer, and what it handles."""
    consumer = Consumer(transport=transport, topics=topics, **{"group_id": "billing", **options})
    seen: list[int] = []

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        seen.append(order.total)

    return consumer, seen


def test_a_publishers_transport_is_the_consumers(transport: InMemoryTransport) -> None:
    with Publisher(transport=transport, registry=registry) as publisher:
        consumer = Consumer(publisher=publisher, topics="orders", group_id="billing")
        seen: list[int] = []

        @consumer.on(OrderPlaced)
        def handle(order: OrderPlaced) -> None:
            seen.append(order.total)

        with consumer:
            publisher.publish(OrderPlaced("o-1", 1))
            assert wait_until(lambda: seen == [1])
    assert sum(transport.committed("billing").values()) == 1
    assert transport.committed("nobody") == {}


def test_while_it_is_down_nothing_is_read_or_committed(transport: InMemoryTransport) -> None:
    publish(transport, range(10))
    consumer, seen = make(transport)
    with consumer:
        assert wait_until(lambda: len(seen) == 10)
        assert consumer.health().ok
        transport.down()
        assert wait_until(lambda: consumer.health().cause == "refused")
        transport.up()
        assert wait_until(lambda: consumer.health().ok)
        publish(transport, range(10, 20))
        assert wait_until(lambda: len(seen) == 20)
    assert sum(transport.committed("billing").values()) == 20


def test_who_leaves_while_it_is_down_leaves_what_was_not_committed(transport: InMemoryTransport) -> None:
    publish(transport, range(1))
    consumer = Consumer(transport=transport, topics="orders", group_id="billing")
    is_in_hand, may_end = threading.Event(), threading.Event()

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        is_in_hand.set()
        may_end.wait(LONG)

    consumer.start()
    assert is_in_hand.wait(LONG)
    transport.down()
    may_end.set()
    report = consumer.close()
    assert (report.handled, report.left) == (1, False)
    assert not any(transport.committed("billing").values())
    transport.up()
    second, seen = make(transport)
    with second:
        assert wait_until(lambda: seen == [0])


def test_members_that_are_thrown_out_come_back(
    transport: InMemoryTransport, caplog: pytest.LogCaptureFixture
) -> None:
    (first, by_first), (second, by_second) = make(transport), make(transport)
    with first, second:
        assert wait_until(lambda: all(len(it.stats().partitions) == 2 for it in (first, second)))
        transport.evict("billing")
        publish(transport, range(40))
        assert wait_until(lambda: {*by_first, *by_second} == set(range(40)))
        assert wait_until(lambda: all(len(it.stats().partitions) == 2 for it in (first, second)))
    assert "Lost to another consumer: orders[" in caplog.text
    assert sum(transport.committed("billing").values()) == 40


def test_topics_that_appear_later_are_found_by_a_regular_expression(transport: InMemoryTransport) -> None:
    consumer, seen = make(transport, "^orders-.*")
    with consumer:
        publish(transport, range(5), "other")
        publish(transport, range(5, 10), "orders-eu")
        assert wait_until(lambda: len(seen) == 5)
        publish(transport, range(10, 15), "orders-us")
        assert wait_until(lambda: len(seen) == 10)
        assert {topic for topic, _ in consumer.stats().partitions} == {"orders-eu", "orders-us"}
    assert sorted(seen) == list(range(5, 15))


def test_what_was_cleared_is_gone_for_readers_too(transport: InMemoryTransport) -> None:
    publish(transport, range(10))
    first, _ = make(transport)
    with first:
        assert wait_until(lambda: first.stats().handled == 10)
    publish(transport, range(10, 30))
    transport.clear()
    publish(transport, range(30, 51))
    second, seen = make(transport)
    with second:
        assert wait_until(lambda: len(seen) == 21)
    assert sorted(seen) == list(range(30, 51))
    assert second.stats().expired_unread == 20
    assert [record.json()["data"]["total"] for record in transport.records] == list(range(30, 51))


def test_a_position_behind_the_end_starts_again_from_the_beginning(transport: InMemoryTransport) -> None:
    publish(transport, range(1))
    consumer, seen = make(transport)
    with consumer:
        assert wait_until(lambda: seen == [0])
        partition = transport.records[0].partition
        consumer.seek("orders", partition, 100)
        assert wait_until(lambda: seen == [0, 0])


def test_letters_that_are_refused_wait_and_hold_their_offsets(transport: InMemoryTransport) -> None:
    transport.fail_always(lambda record: record.topic == "dead-letters", "TOPIC_AUTHORIZATION_FAILED")
    publish(transport, range(1))
    consumer = Consumer(transport=transport, topics="orders", group_id="billing", retry_max=1)

    @consumer.on(OrderPlaced, retries=0)
    def handle(order: OrderPlaced) -> None:
        raise LookupError("no such order")

    with consumer:
        assert wait_until(lambda: consumer.health().cause == "letters_wait")
        assert not any(transport.committed("billing").values())
        transport.clear_faults()
        assert wait_until(lambda: consumer.stats().dead_lettered == 1)
    assert sum(transport.committed("billing").values()) == 1
    letter = DeadLetter.decode(transport.records[-1].value)
    assert (letter.origin, letter.group, letter.topic) == ("consumer", "billing", "orders")


def test_members_that_come_and_go_lose_nothing_and_keep_the_order(transport: InMemoryTransport) -> None:
    total = 3000
    everything = [(topic, partition) for topic in ("more", "orders") for partition in range(4)]
    seen: list[tuple[bytes | None, int]] = []

    def member() -> Consumer:
        consumer = Consumer(transport=transport, topics=["orders", "more"], group_id="billing")

        @consumer.on(OrderPlaced)
        def handle(message: Message[OrderPlaced]) -> None:
            seen.append((message.key, message.data.total))

        consumer.start()
        return consumer

    members = [member()]
    writer = threading.Thread(target=publish, args=(transport, range(total)))
    writer.start()
    for number in range(6):
        members.append(member())
        assert wait_until(lambda: all(it.stats().partitions for it in members))
        if number % 2:
            members.pop(0).close()
    writer.join()
    assert wait_until(lambda: len({number for _, number in seen}) == total)
    assert wait_until(
        lambda: sorted(place for it in members for place in it.stats().partitions) == everything
    )
    for consumer in members:
        consumer.close()
    assert sum(transport.committed("billing").values()) == total
    firsts: defaultdict[bytes | None, list[int]] = defaultdict(list)
    for key, number in seen:
        if number not in firsts[key]:
            firsts[key].append(number)
    assert all(numbers == sorted(numbers) for numbers in firsts.values())


class Wants:
    """A member that named some topics."""

    def __init__(self, *names: str) -> None:
        self.names = frozenset(names)

    def wants(self, topic: str) -> bool:
        return topic in self.names


def test_partitions_are_dealt_evenly_to_those_who_want_them() -> None:
    group = MemoryGroup()
    members = [Wants("a", "b"), Wants("a", "b"), Wants("b")]
    for member in members:
        group.join(member)
    shares = [group.share_of(member, ["a", "b", "c"], 6) for member in members]
    dealt = sorted(place for share in shares for place in share)
    assert dealt == [(topic, partition) for topic in ("a", "b") for partition in range(6)]
    assert [len(share) for share in shares] == [5, 5, 2]
    group.leave(members[0])
    assert len(group.share_of(members[1], ["a", "b", "c"], 6)) == 9


def test_a_partition_has_one_owner_and_nobody_else_commits() -> None:
    group, first, second, place = MemoryGroup(), Wants("a"), Wants("a"), ("a", 0)
    assert group.claim(place, first)
    assert not group.claim(place, second)
    assert group.commit(first, place, 3, "mark")
    assert not group.commit(second, place, 9, "")
    group.release(second, [place])
    assert not group.claim(place, second)
    group.release(first, [place])
    assert group.claim(place, second)
    assert not group.commit(first, place, 9, "")
    assert group.committed == {place: (3, "mark")}
    group.evict()
    assert not group.commit(second, place, 9, "")
    assert group.claim(place, first)
