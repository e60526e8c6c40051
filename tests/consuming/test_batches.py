"""Batch handlers: lists of consecutive events, partitions in order, and one by one when a list fails."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.consuming import FakeClient, FakeRecord, Life, event_value, orders
from support.events import OrderPlaced
from support.processes import wait_until
from tidings import Message, Publisher
from tidings.testing.memory import InMemoryTransport


def register(life: Life, kind: str, work: Any, **options: Any) -> None:
    def sync(batch: list[Message[OrderPlaced]]) -> None:
        work(batch)

    async def awaiting(batch: list[Message[OrderPlaced]]) -> None:
        work(batch)

    life.on_batch(OrderPlaced, **options)(sync if kind == "threads" else awaiting)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(1, 300),
    chunk=st.integers(1, 60),
    most=st.integers(1, 50),
    failing=st.sets(st.integers(0, 300), max_size=8),
    hopeless=st.sets(st.integers(0, 300), max_size=3),
)
def test_partitions_are_handled_in_order_and_only_what_fails_alone_becomes_a_letter(
    kind: str, count: int, chunk: int, most: int, failing: set[int], hopeless: set[int]
) -> None:
    client = FakeClient(orders(count) + orders(count, partition=1), chunk=chunk)
    life = Life(client, retry_max=1)
    done: dict[int, list[int]] = defaultdict(list)
    tried: dict[tuple[int, int], int] = defaultdict(int)

    def work(batch: list[Message[OrderPlaced]]) -> None:
        assert 1 <= len(batch) <= most
        assert len({message.partition for message in batch}) == 1
        for message in batch:
            number = message.data.total
            tried[message.partition, number] += 1
            if number in hopeless or (number in failing and tried[message.partition, number] == 1):
                raise RuntimeError(number)
        done[batch[0].partition] += [message.data.total for message in batch]

    register(life, kind, work, most=most)
    life.run_to_the_end()
    expected = [number for number in range(count) if number not in hopeless]
    for partition in (0, 1):
        assert done[partition] == expected
    letters = sorted((letter.partition, letter.offset) for letter in life.writer.letters)
    assert letters == [(partition, it) for partition in (0, 1) for it in sorted(hopeless) if it < count]


def test_a_batch_is_what_is_there_and_other_types_come_between(kind: str) -> None:
    records = orders(10)
    records[4] = FakeRecord(event_value("order.noted", text="between"), b"k", offset=4)
    records[7] = FakeRecord(event_value("order.unknown"), b"k", offset=7)
    records[8] = FakeRecord(b"\xff", b"k", offset=8)
    life = Life(FakeClient(records))
    calls: list[list[int] | str] = []

    def noted(data: dict[str, str]) -> None:
        calls.append(data["text"])

    register(life, kind, lambda batch: calls.append([message.data.total for message in batch]))
    life.on("order.noted")(noted)
    life.run_to_the_end()
    assert calls == [[0, 1, 2, 3], "between", [5, 6], [9]]
    assert [letter.offset for letter in life.writer.letters] == [8]
    assert (life.tally.handled, life.tally.skipped, life.tally.undecodable) == (8, 1, 1)


def test_an_offset_waits_for_what_a_batch_published_and_for_its_letters(kind: str) -> None:
    transport = InMemoryTransport()
    life = Life(FakeClient(orders(10)), retry_max=1)
    life.writer.down = True
    with Publisher(transport=transport, durability="memory") as publisher:
        transport.down()

        def work(batch: list[Message[OrderPlaced]]) -> None:
            if any(message.data.total == 5 for message in batch):
                raise RuntimeError
            publisher.publish({}, event_type="a.result", topic="results")

        register(life, kind, work, most=3)
        life.start()
        life.client.change("assigned", ("orders", 0))
        assert wait_until(lambda: life.tally.handled == 9)
        assert life.client.reached() in (None, 0)
        transport.up()
        assert wait_until(lambda: life.client.reached() == 5)
        life.writer.down = False
        assert wait_until(lambda: life.client.reached() == 10)
        life.stop()


def test_a_revoked_partition_keeps_what_is_not_begun_for_the_next_owner(kind: str) -> None:
    life = Life(FakeClient(orders(40), chunk=40))
    done: list[int] = []

    def work(batch: list[Message[OrderPlaced]]) -> None:
        done.extend(message.data.total for message in batch)
        life.holdings.tenures["orders", 0].is_leaving = True

    register(life, kind, work, most=4)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: bool(done))
    life.client.change("revoked", ("orders", 0))
    assert done == [0, 1, 2, 3]
    assert life.client.reached() == 4
    life.stop()


@pytest.mark.parametrize("attempts", [3])
def test_a_failing_event_keeps_its_place_until_it_is_over(kind: str, attempts: int) -> None:
    life = Life(FakeClient(orders(6)), retry_max=attempts)
    calls: list[list[int]] = []

    def work(batch: list[Message[OrderPlaced]]) -> None:
        calls.append([message.data.total for message in batch])
        if any(message.data.total == 2 for message in batch):
            raise RuntimeError

    register(life, kind, work)
    life.run_to_the_end()
    assert calls == [[0, 1, 2, 3, 4, 5], [0], [1], [2], [2], [2], [2], [3], [4], [5]]
    assert life.tally.dead_lettered == 1


def test_a_batch_whose_outputs_are_lost_is_a_letter_for_each_event(kind: str) -> None:
    transport = InMemoryTransport()
    life = Life(FakeClient(orders(20)))
    publisher = Publisher(transport=transport, durability="memory", service="batches")

    def work(batch: list[Message[OrderPlaced]]) -> None:
        for message in batch:
            publisher.produce("out", b"%d" % message.offset)

    register(life, kind, work)
    transport.down()
    life.start()
    life.client.change("assigned", ("orders", 0))
    try:
        assert wait_until(lambda: life.tally.handled == 20)
        assert not life.client.reached()
        publisher.close(0)
        assert wait_until(lambda: life.client.reached() == 20)
    finally:
        life.stop()
    assert sorted(letter.offset or 0 for letter in life.writer.letters) == list(range(20))
