"""Poison or outage: the decision, and what the consumer makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.consuming import FakeClient, Life, orders
from support.events import OrderPlaced
from support.processes import wait_until
from tidings import Message
from tidings.consuming import outage as outage_module
from tidings.consuming.outage import Outage


def failed(outage: Outage, count: int, keys: int, *, what: str = "Error x.py:1", at: float = 0.0) -> None:
    for number in range(count):
        outage.failed(at, b"%d" % (number % keys), what, 0)


def test_ten_failures_of_five_keys_in_one_way_are_an_outage() -> None:
    outage = Outage()
    failed(outage, 9, 5)
    assert not outage.is_on(0, "Error x.py:1", 0)
    failed(outage, 1, 5)
    assert outage.is_on(0, "Error x.py:1", 0)
    assert not outage.is_on(0, "Error x.py:2", 0), "another way"
    assert not outage.is_on(0, "Error x.py:1", 1), "one succeeded"
    assert outage.is_on(60, "Error x.py:1", 0)
    assert not outage.is_on(60.1, "Error x.py:1", 0), "long ago"
    outage.end()
    assert not outage.is_on(0, "Error x.py:1", 0)


@given(keys=st.integers(1, 4), count=st.integers(0, 2000))
def test_few_keys_are_poison_however_often_they_fail(keys: int, count: int) -> None:
    outage = Outage()
    failed(outage, count, keys)
    assert not outage.is_on(0, "Error x.py:1", 0)


@given(wait=st.lists(st.floats(0, 1e6), max_size=20))
def test_probes_come_later_and_later_but_within_five_minutes(wait: list[float]) -> None:
    outage, now = Outage(), 0.0
    assert outage.probe_at == float("inf")
    outage.begin(now)
    pauses = [outage.probe_at - now]
    for seconds in wait:
        now += seconds
        outage.probed_in_vain(now)
        pauses.append(outage.probe_at - now)
    expected = [min(300.0, pauses[0] * 2**number) for number in range(len(pauses))]
    assert pauses == pytest.approx(expected, abs=0.001)


@pytest.fixture(autouse=True)
def _quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage_module, "_FIRST", 0.01)


def test_while_what_is_behind_it_is_away_events_wait_and_none_becomes_a_letter(kind: str) -> None:
    away = [True]
    life = Life(FakeClient(orders(400, keys=20), chunk=100), retry_max=1)
    calls: list[int] = []
    done: list[int] = []

    def work(message: Message[OrderPlaced]) -> None:
        calls.append(message.data.total)
        if away[0]:
            raise ConnectionError("the database")
        done.append(message.data.total)

    async def work_async(message: Message[OrderPlaced]) -> None:
        work(message)

    life.on(OrderPlaced)(work if kind == "threads" else work_async)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: bool(life.fate.shut))
    probes = len(calls)
    assert wait_until(lambda: len(calls) >= probes + 3), "one is tried now and then"
    assert life.tally.dead_lettered == life.letters.waiting == 0
    assert life.client.reached() in (None, 0)
    away[0] = False
    assert wait_until(lambda: life.client.reached() == 400)
    assert not life.fate.shut
    life.stop()
    assert not life.writer.letters
    assert sorted(done) == list(range(400))
    for key in range(20):
        assert [it for it in done if it % 20 == key] == list(range(key, 400, 20))


def test_in_batches_it_is_known_after_five_keys(kind: str) -> None:
    """A partition in order meets one event after another: four are given up before."""
    life = Life(FakeClient(orders(100, keys=20)), retry_max=1)

    def work(messages: list[Message[OrderPlaced]]) -> None:
        raise ConnectionError("the database")

    async def work_async(messages: list[Message[OrderPlaced]]) -> None:
        work(messages)

    life.on_batch(OrderPlaced)(work if kind == "threads" else work_async)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: bool(life.fate.shut))
    life.stop()
    assert life.tally.dead_lettered == 4


def test_poison_is_told_from_an_outage_by_the_next_event_that_is_handled(kind: str) -> None:
    """Five keys hold nothing but poison, and nothing else comes for a while: that looks like an outage."""
    life = Life(FakeClient(orders(200, keys=20)), retry_max=1)

    def work(message: Message[OrderPlaced]) -> None:
        if message.data.total % 4 == 0 and message.data.total < 200:
            raise ValueError("poison")

    async def work_async(message: Message[OrderPlaced]) -> None:
        work(message)

    life.on(OrderPlaced)(work if kind == "threads" else work_async)
    life.start()
    life.client.change("assigned", ("orders", 0))
    number = 200

    def is_over() -> bool:
        nonlocal number
        life.client.add(orders(1, keys=1000, first=number))
        number += 1
        return life.tally.dead_lettered == 50

    assert wait_until(is_over)
    assert wait_until(lambda: life.client.reached() == number)
    life.stop()
    assert life.tally.handled == number - 50


def test_letters_if_that_is_wanted(kind: str) -> None:
    life = Life(FakeClient(orders(40, keys=20)), retry_max=1, on_outage="letter")

    def work(message: Message[OrderPlaced]) -> None:
        raise ConnectionError("the database")

    async def work_async(message: Message[OrderPlaced]) -> None:
        work(message)

    life.on(OrderPlaced)(work if kind == "threads" else work_async)
    life.run_to_the_end()
    assert life.tally.dead_lettered == 40


def test_a_revoke_in_an_outage_takes_no_longer(kind: str) -> None:
    life = Life(FakeClient(orders(100, keys=20)), retry_max=1)
    away = [True]

    def work(message: Message[OrderPlaced]) -> None:
        if away[0]:
            raise ConnectionError("the database")

    async def work_async(message: Message[OrderPlaced]) -> None:
        work(message)

    life.on(OrderPlaced)(work if kind == "threads" else work_async)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: bool(life.fate.shut))
    life.client.change("revoked", ("orders", 0))
    away[0] = False
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: life.client.reached() == 100)
    life.stop()
    assert not life.writer.letters
