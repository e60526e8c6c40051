"""Handlers that take too long: async ones are cancelled, sync ones are told of and left alone."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from support.consuming import FakeClient, Life, orders
from support.events import OrderPlaced
from support.processes import wait_until
from support.scripts import run_script
from tidings import ConfigError, Consumer, Message
from tidings.consuming import overdue

_LONG = 60.0


def test_an_async_handler_is_cancelled_and_tried_again() -> None:
    life = Life(FakeClient(orders(4)), retry_max=2)
    attempts: list[tuple[int, int]] = []

    async def handle(message: Message[OrderPlaced]) -> None:
        number = message.data.total
        attempts.append((number, message.attempt))
        if number == 1 and message.attempt == 1:
            await asyncio.sleep(_LONG)
        if number == 2:
            async with asyncio.timeout(_LONG):  # needs a current task
                await asyncio.sleep(_LONG)

    life.on(OrderPlaced, timeout=0.05)(handle)
    life.run_to_the_end()
    assert sorted(attempts) == [(0, 1), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 1)]
    (letter,) = life.writer.letters
    assert (letter.offset, letter.attempt_count) == (2, 3)
    assert "TimeoutError: it took longer than 0.05 s" in letter.failure_reason


def test_a_task_whose_handler_was_cancelled_is_as_good_as_new() -> None:
    """An old cancellation must not make the next one look like the end of the consumer."""
    life = Life(FakeClient(orders(2, keys=1)), workers=1)

    async def handle(message: Message[OrderPlaced]) -> None:
        await asyncio.sleep(_LONG if message.data.total == 0 else 0)
        raise asyncio.CancelledError

    life.on(OrderPlaced, timeout=0.05, retries=0)(handle)
    life.run_to_the_end()
    assert [letter.offset for letter in life.writer.letters] == [0, 1]


def test_cancelling_oneself_is_a_failure_like_any_other() -> None:
    life = Life(FakeClient(orders(2)), retry_max=1)

    async def handle(message: Message[OrderPlaced]) -> None:
        if message.data.total == 0:
            raise asyncio.CancelledError
        if message.data.total == 1:
            await asyncio.sleep(0)
            raise asyncio.CancelledError

    life.on(OrderPlaced)(handle)
    life.run_to_the_end()
    assert sorted(letter.offset or 0 for letter in life.writer.letters) == [0, 1]


def test_a_sync_handler_that_hangs_is_told_of_and_neither_tried_again_nor_given_up() -> None:
    release = threading.Event()
    life = Life(FakeClient(orders(20)), retry_max=1)
    calls: list[int] = []

    def handle(order: OrderPlaced) -> None:
        calls.append(order.total)
        if order.total == 3:
            release.wait(_LONG)

    life.on(OrderPlaced, timeout=0.05)(handle)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: "orders[0]@3" in life.relay.hanging())
    assert wait_until(lambda: len(calls) == 19), "other keys go on"
    release.set()
    assert wait_until(lambda: life.client.reached() == 20)
    assert wait_until(lambda: not life.relay.hanging())
    life.stop()
    assert calls.count(3) == 1
    assert not life.writer.letters


def test_a_sync_handler_among_async_ones_does_not_block_the_loop() -> None:
    life = Life(FakeClient(orders(2)))
    met = threading.Barrier(2)
    records = life.client.log["orders", 0]
    value = records[1].value() or b""
    records[1]._parts = (*records[1]._parts[:4], value.replace(b"order.placed", b"order.noted"), [])

    def sync(order: OrderPlaced) -> None:
        met.wait(_LONG)

    async def awaiting(data: dict[str, Any]) -> None:
        await asyncio.to_thread(met.wait, _LONG)

    life.on(OrderPlaced)(sync)
    life.on("order.noted")(awaiting)
    life.run_to_the_end()


def test_a_handler_that_hangs_for_long_ends_the_process() -> None:
    run_script(
        "-c",
        "import logging, threading\n"
        "from support.consuming import FakeClient, Life, orders\n"
        "from support.events import OrderPlaced\n"
        "life = Life(FakeClient(orders(3)), hang_exit=0.05)\n"
        "def handle(order: OrderPlaced) -> None:\n"
        "    threading.Event().wait(60)\n"
        "life.on(OrderPlaced, timeout=0.05)(handle)\n"
        "life.start()\n"
        "life.client.change('assigned', ('orders', 0))\n"
        "threading.Event().wait(60)\n",
        code=70,
    )


def test_an_async_handler_that_blocks_the_loop_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(overdue, "_BLOCKED", 0.05)
    life = Life(FakeClient(orders(4, keys=1)), handler_timeout=0.1)

    @life.on(OrderPlaced)
    async def block(order: OrderPlaced) -> None:
        time.sleep(0.3)  # noqa: ASYNC251 - what must not be done
        await asyncio.sleep(0.02)

    life.run_to_the_end()
    assert caplog.text.count("The event loop was blocked") == 1


def test_a_sync_handler_beside_async_ones_blocks_no_loop(caplog: pytest.LogCaptureFixture) -> None:
    life = Life(FakeClient(orders(1)))
    threads: list[threading.Thread] = []

    @life.on("order.noted")
    async def note(data: dict[str, str]) -> None: ...

    @life.on(OrderPlaced)
    def block(order: OrderPlaced) -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        threads.append(threading.current_thread())

    life.run_to_the_end()
    assert len(threads) == 1
    assert not life.writer.letters


def test_an_unknown_group_protocol_is_refused() -> None:
    with pytest.raises(ConfigError, match="'classic' or 'consumer'"):
        Consumer(brokers="in-memory.invalid:9092", group_id="g", topics="t", group_protocol="raft")


def test_a_handler_that_hangs_beside_a_loop_does_not_keep_the_process() -> None:
    said = run_script(
        "-c",
        """
import threading
from tidings import Consumer, Publisher
from tidings.testing.memory import InMemoryTransport

transport, begun = InMemoryTransport(), threading.Event()
consumer = Consumer(topics="t", group_id="g", transport=transport)

@consumer.on("a.noted")
async def note(data: dict) -> None: ...

@consumer.on("a.hung")
def hang(data: dict) -> None:
    begun.set()
    threading.Event().wait()

publisher = Publisher(transport=transport, durability="memory", service="hangs")
publisher.publish({}, event_type="a.hung", topic="t").wait(60)
consumer.start()
assert begun.wait(60)
consumer.close(0.1)
publisher.close()
print("over")
""",
    )
    assert "over" in said
