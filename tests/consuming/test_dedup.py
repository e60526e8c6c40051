"""A handler with ``dedup`` is not called again with what it has handled (ENGINE C8)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.consuming import FakeClient, FakeRecord, Life, event_value, orders
from support.events import OrderPlaced
from support.processes import wait_until
from tidings import ConfigError, Consumer, Delivery, Message, Publisher, Reject, State
from tidings.consuming.seen import MemorySeen, Seen, SqliteSeen
from tidings.testing.memory import InMemoryTransport

Work = Callable[[Message[OrderPlaced]], None]


@pytest.fixture(params=["memory", "sqlite"])
def seen(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return MemorySeen(most=3000) if request.param == "memory" else SqliteSeen(tmp_path / "seen", most=3000)


def register(life: Life, kind: str, work: Work, **terms: Any) -> None:
    def call(message: Message[OrderPlaced]) -> None:
        work(message)

    async def call_async(message: Message[OrderPlaced]) -> None:
        work(message)

    life.on(OrderPlaced, dedup="1h", **terms)(call if kind == "threads" else call_async)


def twice(records: list[FakeRecord], times: int = 2) -> list[FakeRecord]:
    """The same events again, at later offsets."""
    return [
        FakeRecord(it.value(), it.key(), offset=it.offset() + round * len(records), partition=it.partition())
        for round in range(times)
        for it in records
    ]


def test_duplicates_are_counted_and_not_handled(kind: str, seen: Seen) -> None:
    life = Life(FakeClient(twice(orders(200), 3)))
    life.seen = seen
    handled: Counter[str | None] = Counter()
    register(life, kind, lambda message: handled.update([message.event_id]))
    life.run_to_the_end()
    assert set(handled.values()) == {1}
    assert len(handled) == 200
    assert (life.tally.handled, life.tally.duplicates) == (600, 400)


def test_a_failed_event_may_come_again_and_a_letter_too(kind: str) -> None:
    life = Life(FakeClient(twice(orders(10), 3)), retry_max=1)
    tries: Counter[int] = Counter()

    def work(message: Message[OrderPlaced]) -> None:
        tries[message.data.total] += 1
        if message.data.total < 5 and tries[message.data.total] == 1:
            raise Reject("not yet")

    register(life, kind, work)
    life.run_to_the_end()
    assert tries == {number: 2 if number < 5 else 1 for number in range(10)}
    assert len(life.writer.letters) == 5
    assert life.tally.duplicates == 5 + 5 * 2


def test_a_duplicate_waits_while_the_event_is_in_hand(kind: str) -> None:
    other = [FakeRecord(it.value(), b"other", offset=0, partition=1) for it in orders(1)]
    life = Life(FakeClient([*orders(1), *other]))
    handled: list[int] = []
    first, goes_on = threading.Event(), threading.Event()

    def work(message: Message[OrderPlaced]) -> None:
        handled.append(message.partition)
        if len(handled) == 1:
            first.set()
            assert goes_on.wait(60)
            raise RuntimeError("so the other one is handled, or this one again")

    life.on(OrderPlaced, dedup=3600)(work)
    life.start()
    life.client.change("assigned", *life.client.log)
    try:
        assert first.wait(60)
        assert wait_until(lambda: any(lane.phase.name == "PARKED" for lane in lanes(life)))
        assert len(handled) == 1
        goes_on.set()
        assert wait_until(lambda: life.client.reached(0) == life.client.reached(1) == 1)
    finally:
        goes_on.set()
        life.stop()
    assert len(handled) == 2
    assert life.tally.duplicates == 1
    assert not life.writer.letters


def lanes(life: Life) -> list[Any]:
    return [lane for tenure in life.holdings.tenures.values() for lane in list(tenure.place.lanes.values())]


@pytest.mark.parametrize("is_batch", [False, True])
def test_it_counts_as_handled_when_what_it_published_is_in_kafka(kind: str, is_batch: bool) -> None:
    transport = InMemoryTransport()
    life = Life(FakeClient(orders(4, keys=1)))
    with Publisher(
        brokers="in-memory.invalid:9092", transport=transport, durability="memory", service="dedup"
    ) as publisher:

        def work(messages: list[Message[OrderPlaced]]) -> None:
            for message in messages:
                publisher.produce("out", message.event_id.encode() if message.event_id else b"")

        def one(message: Message[OrderPlaced]) -> None:
            work([message])

        if is_batch:
            life.on_batch(OrderPlaced, dedup=60)(work)
        else:
            life.on(OrderPlaced, dedup=60)(one)
        transport.down()
        life.start()
        life.client.change("assigned", ("orders", 0))
        assert wait_until(lambda: life.tally.handled == 4)
        assert not any(life.seen.has("group", f"0-{number}", 0) for number in range(4))
        assert not life.client.reached()
        transport.up()
        assert wait_until(lambda: life.client.reached() == 4)
        life.stop()
        assert all(life.seen.has("group", f"0-{number}", 0) for number in range(4))


@pytest.mark.parametrize("outputs", ["stored", "delivered"])
def test_outputs_that_are_stored_are_enough_where_the_terms_say_so(tmp_path: Path, outputs: Any) -> None:
    transport = InMemoryTransport()
    with Publisher(
        brokers="in-memory.invalid:9092",
        transport=transport,
        durability="spill",
        store_after="100ms",
        outage_after="100ms",
        store_dir=tmp_path,
    ) as publisher:
        life = Life(FakeClient(orders(5)))
        published: list[Delivery] = []

        @life.on(OrderPlaced, outputs=outputs)
        def work(message: Message[OrderPlaced]) -> None:
            published.append(publisher.produce("out", b"x"))

        transport.down()
        life.start()
        life.client.change("assigned", ("orders", 0))
        try:
            assert wait_until(lambda: len(published) == 5)
            assert wait_until(lambda: all(it.state is State.STORED for it in published))
            assert wait_until(lambda: bool(life.fate._awaited) is (outputs == "delivered"))
            assert life.client.reached() == (0 if outputs == "delivered" else 5)
            transport.up()
            assert wait_until(lambda: life.client.reached() == 5)
            assert publisher.flush(60)
        finally:
            life.stop()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(st.integers(0, 15), min_size=1, max_size=60),
    most=st.integers(1, 10),
    chunk=st.integers(1, 20),
    failing=st.sets(st.integers(0, 15), max_size=4),
)
def test_in_batches_too_each_event_is_handled_once(
    kind: str, ids: list[int], most: int, chunk: int, failing: set[int]
) -> None:
    records = [
        FakeRecord(event_value(event_id=str(it), order_id="o", total=it), b"%d" % it, offset=number // 2)
        if number % 2 == 0
        else FakeRecord(
            event_value(event_id=str(it), order_id="o", total=it), b"%d" % it, offset=number // 2, partition=1
        )
        for number, it in enumerate(ids)
    ]
    life = Life(FakeClient(records, chunk=chunk), retry_max=3)
    done: Counter[int] = Counter()
    failed: set[int] = set()

    def work(batch: list[OrderPlaced]) -> None:
        assert batch
        for order in batch:
            if order.total in failing - failed:
                failed.add(order.total)
                raise RuntimeError("once")
        done.update(order.total for order in batch)

    async def work_async(batch: list[OrderPlaced]) -> None:
        work(batch)

    life.on_batch(OrderPlaced, most=most, dedup=timedelta(hours=1))(work if kind == "threads" else work_async)
    life.run_to_the_end()
    assert done == dict.fromkeys(ids, 1)
    assert life.tally.duplicates == len(ids) - len(done)
    assert not life.writer.letters


def test_what_is_older_than_the_window_counts_no_more(seen: Seen) -> None:
    seen.add("group", "a", 100.0)
    assert seen.has("group", "a", 100.0)
    assert not seen.has("group", "a", 100.1)
    assert not seen.has("other", "a", 0)
    seen.add("group", "a", 200.0)
    assert seen.has("group", "a", 150.0)


def test_it_is_bounded(seen: Seen) -> None:
    for number in range(7000):
        seen.add("group", str(number), float(number))
    kept = [number for number in range(7000) if seen.has("group", str(number), 0)]
    assert 3000 <= len(kept) <= 4001
    assert kept[-1] == 6999


def test_a_file_outlives_the_process_that_wrote_it(tmp_path: Path) -> None:
    first = SqliteSeen(tmp_path / "seen")
    first.add("group", "a", 1.0)
    second = SqliteSeen(tmp_path / "seen")
    assert second.has("group", "a", 0.5)
    first.close()
    second.close()


def test_a_memory_that_fails_fails_the_attempt_and_forgets_at_worst(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(MemorySeen):
        asked = 0

        def has(self, group: str, event_id: str, since: float) -> bool:
            self.asked += 1
            if self.asked == 1:
                raise OSError("the disk")
            return super().has(group, event_id, since)

        def add(self, group: str, event_id: str, at: float) -> None:
            raise OSError("full")

    life = Life(FakeClient(orders(20, keys=1)))
    life.seen = Bad()
    handled: list[int] = []
    register(life, kind, lambda message: handled.append(message.data.total))
    life.run_to_the_end()
    assert handled == list(range(20))
    assert life.tally.failed == 1
    assert 1 <= caplog.text.count("could not be remembered") <= 5


def test_an_event_without_an_id_is_always_handled(kind: str) -> None:
    value = b'{"event_type": "order.placed", "data": {"order_id": "o", "total": 1}}'
    life = Life(FakeClient([FakeRecord(value, b"k", offset=number) for number in range(3)]))
    handled: list[int] = []
    register(life, kind, lambda message: handled.append(message.offset))
    life.run_to_the_end()
    assert handled == [0, 1, 2]


@pytest.mark.parametrize("dedup", [0, -1, float("nan"), "soon", timedelta(days=31), True])
def test_a_window_that_is_none_is_refused(dedup: Any) -> None:
    with pytest.raises(ConfigError, match="dedup"):
        Life(FakeClient()).on(OrderPlaced, dedup=dedup)


def test_other_bad_terms_are_refused(tmp_path: Path) -> None:
    life = Life(FakeClient())
    with pytest.raises(ConfigError, match="outputs"):
        life.on(OrderPlaced, outputs="lost")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="retry: no such term; there are retries, backoff"):
        life.on(OrderPlaced, retry=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="most"):
        MemorySeen(most=0)
    with pytest.raises(ConfigError, match="may write"):
        SqliteSeen(tmp_path / "missing" / "seen")
    wrong: list[Any] = [{}, SqliteSeen]
    for seen in wrong:
        with pytest.raises(ConfigError, match="seen="):
            Consumer(brokers="localhost:9092", group_id="g", seen=seen)
