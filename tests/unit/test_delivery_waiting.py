"""Waiting for a delivery: threads, loops, cancelled waits, and loops that close too early."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.books import LONG, check_books, doom, settle
from support.events import OrderPlaced
from support.processes import wait_until
from tidings import Delivery, DeliveryError, Publisher, Receipt, State
from tidings.testing.memory import InMemoryTransport


def publish(publisher: Publisher, number: int = 0) -> Delivery:
    return publisher.publish(OrderPlaced(f"o-{number}", number))


def waiters(delivery: Delivery) -> int:
    return len(delivery._waiters or ())


# -- threads


def test_a_wait_that_ends(publisher: Publisher) -> None:
    delivery = publish(publisher)
    first, second = delivery.wait(), delivery.wait(0)
    assert first == second
    assert first.state is State.DELIVERED
    assert wait_until(lambda: waiters(delivery) == 0)


@pytest.mark.parametrize("timeout", [0, 0.05, -1, 1e-9])
def test_a_wait_that_times_out_leaves_the_event_accepted(
    publisher: Publisher, transport: InMemoryTransport, timeout: float
) -> None:
    transport.down()
    delivery = publish(publisher)
    for _ in range(3):
        with pytest.raises(TimeoutError, match="stays accepted"):
            delivery.wait(timeout)
    assert delivery.state is State.ACCEPTED
    assert not delivery.done()
    assert delivery.error is None
    assert waiters(delivery) == 0, "no waiter is left behind"
    assert check_books(publisher).in_flight == 1
    transport.up()
    assert delivery.wait(LONG).state is State.DELIVERED


def test_nobody_asked_nothing_is_allocated(publisher: Publisher, transport: InMemoryTransport) -> None:
    transport.down()
    delivery = publish(publisher)
    assert delivery._waiters is None
    transport.up()
    settle(publisher)
    assert delivery._waiters is None
    assert delivery.value is None, "a delivered event's bytes are let go of"


def test_many_threads_wait_for_one(publisher: Publisher, transport: InMemoryTransport) -> None:
    transport.down()
    delivery = publish(publisher)
    receipts: list[Receipt] = []
    threads = [threading.Thread(target=lambda: receipts.append(delivery.wait(LONG))) for _ in range(50)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: waiters(delivery) == 50)
    transport.up()
    for thread in threads:
        thread.join(LONG)
    assert len(receipts) == 50
    assert {receipt.offset for receipt in receipts} == {0}


def test_who_leaves_the_list_while_it_is_woken_makes_nobody_be_passed_over(
    publisher: Publisher, transport: InMemoryTransport
) -> None:
    transport.down()
    delivery = publish(publisher)
    woken: list[str] = []

    def leave() -> None:
        woken.append("leaves")
        assert delivery._waiters is not None
        delivery._waiters.remove(leave)

    delivery._waiters = [leave, lambda: woken.append("second"), leave, lambda: woken.append("last")]
    transport.up()
    settle(publisher)
    assert woken == ["leaves", "second", "leaves", "last"]


def test_waits_that_time_out_while_others_are_woken(
    publisher: Publisher, transport: InMemoryTransport
) -> None:
    for number in range(200):
        transport.down()
        delivery = publish(publisher, number)
        done = Counter[str]()

        def wait(timeout: float, delivery: Delivery = delivery, done: Counter[str] = done) -> None:
            try:
                delivery.wait(timeout)
                done["woken"] += 1
            except TimeoutError:
                done["late"] += 1

        patience = [LONG, 0.0005, LONG, 0.001, LONG]
        threads = [threading.Thread(target=wait, args=(timeout,)) for timeout in patience]
        for thread in threads:
            thread.start()
        transport.up()
        for thread in threads:
            thread.join(LONG)
            assert not thread.is_alive()
        assert done.total() == 5
        assert done["woken"] >= 3


def test_wait_safe_is_wait_without_a_store(publisher: Publisher, transport: InMemoryTransport) -> None:
    publish(publisher).wait_safe(LONG)
    transport.down()
    with pytest.raises(TimeoutError):
        publish(publisher).wait_safe(0)
    transport.up()
    doom(transport)
    settle(publisher)
    with pytest.raises(DeliveryError):
        publish(publisher).wait_safe(LONG)


# -- failures


def test_each_look_at_a_failure_is_a_new_exception(
    publisher: Publisher, transport: InMemoryTransport, caplog: pytest.LogCaptureFixture
) -> None:
    doom(transport)
    with caplog.at_level(logging.CRITICAL, "tidings.publisher"):
        delivery = publisher.publish(OrderPlaced("o"), topic="a-topic")
        settle(publisher)
    raised: list[DeliveryError] = []
    for _ in range(3):
        with pytest.raises(DeliveryError) as info:
            delivery.wait(LONG)
        raised.append(info.value)

    async def awaited() -> None:
        await delivery

    with pytest.raises(DeliveryError) as info:
        asyncio.run(awaited())
    raised.append(info.value)
    assert isinstance(delivery.error, DeliveryError)
    raised.append(delivery.error)
    assert len({id(error) for error in raised}) == 5
    for error in raised:
        assert error.code == "KAFKA_SEND_FAILED"
        assert error.kafka_error == "_MSG_TIMED_OUT"
        assert error.certainty == "unknown"
        assert (error.attempts, error.event_id, error.topic) == (2, delivery.event_id, "a-topic")
    assert delivery.state is State.LOST
    (record,) = caplog.records
    assert record.levelno == logging.CRITICAL
    assert delivery.event_id in record.message
    assert "a-topic" in record.message


def test_a_failure_holds_no_frames_and_no_cycle(publisher: Publisher, transport: InMemoryTransport) -> None:
    class Local:
        pass

    doom(transport)
    delivery = publish(publisher)
    settle(publisher)
    gc.collect()
    gc.disable()
    try:

        def fail() -> tuple[weakref.ref[Any], weakref.ref[Any]]:
            local = Local()
            try:
                delivery.wait(LONG)
            except DeliveryError as error:
                return weakref.ref(local), weakref.ref(error)
            raise AssertionError

        local, error = fail()
        assert local() is None, "a local of the frame that waited is still alive"
        assert error() is None
    finally:
        gc.enable()


# -- one loop


def test_an_await(publisher: Publisher, transport: InMemoryTransport) -> None:
    async def main() -> None:
        delivery = publish(publisher)
        receipt = await delivery
        assert receipt.state is State.DELIVERED
        assert await delivery == receipt, "awaited again when done"
        await delivery.safe()
        assert wait_until(lambda: waiters(delivery) == 0)

    asyncio.run(main())


def test_an_await_after_done_does_not_leave_the_task(publisher: Publisher) -> None:
    delivery = publish(publisher)
    delivery.wait(LONG)
    ran: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().call_soon(ran.append, "another")
        await delivery
        assert not ran

    asyncio.run(main())


def test_many_awaits_of_one_delivery(publisher: Publisher, transport: InMemoryTransport) -> None:
    async def main() -> None:
        transport.down()
        delivery = publish(publisher)

        async def one() -> Receipt:
            return await delivery

        tasks = [asyncio.create_task(one()) for _ in range(100)]
        await asyncio.sleep(0.05)
        assert waiters(delivery) == 100
        transport.up()
        receipts = await asyncio.wait_for(asyncio.gather(*tasks, delivery, delivery), LONG)
        assert len(receipts) == 102
        assert len(set(map(repr, receipts))) == 1
        assert wait_until(lambda: waiters(delivery) == 0)

    asyncio.run(main())


def test_gathering_thousands(publisher: Publisher) -> None:
    async def main() -> None:
        deliveries = [publish(publisher, number) for number in range(5000)]
        receipts = await asyncio.wait_for(asyncio.gather(*deliveries), LONG)
        assert {receipt.state for receipt in receipts} == {State.DELIVERED}
        assert [receipt.event_id for receipt in receipts] == [delivery.event_id for delivery in deliveries]

    asyncio.run(main())


def test_wakes_come_in_batches(publisher: Publisher, transport: InMemoryTransport) -> None:
    """One call_soon_threadsafe for all that settled before the loop looked."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport.down()
        deliveries = [publish(publisher, number) for number in range(1000)]
        tasks = [asyncio.ensure_future(delivery) for delivery in deliveries]
        await asyncio.sleep(0)
        calls: list[Any] = []
        threadsafe = loop.call_soon_threadsafe

        def counted(*args: Any, **kwargs: Any) -> Any:
            calls.append(args)
            return threadsafe(*args, **kwargs)

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign,assignment]
        transport.up()
        assert publisher.flush(LONG), "blocks the loop: nothing is drained meanwhile"
        await asyncio.wait_for(asyncio.gather(*tasks), LONG)
        assert len(calls) == 1

    asyncio.run(main())


def test_a_cancelled_await_never_cancels_the_event(
    publisher: Publisher, transport: InMemoryTransport
) -> None:
    async def main() -> Delivery:
        transport.down()
        delivery = publish(publisher)

        async def one() -> None:
            await delivery

        tasks = [asyncio.create_task(one()) for _ in range(20)]
        await asyncio.sleep(0.01)
        for task in tasks[:10]:
            task.cancel()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(delivery, 0.01)
        results = await asyncio.gather(*tasks[:10], return_exceptions=True)
        assert {type(result) for result in results} == {asyncio.CancelledError}
        assert waiters(delivery) == 10, "the cancelled have left"
        assert delivery.state is State.ACCEPTED
        transport.up()
        await asyncio.wait_for(asyncio.gather(*tasks[10:]), LONG)
        return delivery

    delivery = asyncio.run(main())
    assert delivery.state is State.DELIVERED
    assert wait_until(lambda: waiters(delivery) == 0)
    assert len(transport.records) == 1


def test_a_cancel_that_crosses_the_report(publisher: Publisher, transport: InMemoryTransport) -> None:
    """Cancelled after the report, before the loop has looked: nothing is raised anywhere."""
    failures: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        transport.down()
        delivery = publish(publisher)

        async def one() -> None:
            await delivery

        tasks = [asyncio.create_task(one()) for _ in range(10)]
        await asyncio.sleep(0)
        transport.up()
        assert publisher.flush(LONG)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)
        assert wait_until(lambda: waiters(delivery) == 0)

    asyncio.run(main())
    assert not failures


# -- loops that close


@pytest.mark.parametrize("settles_before_close", [False, True])
def test_a_closed_loop_is_harmless(
    publisher: Publisher, transport: InMemoryTransport, settles_before_close: bool
) -> None:
    failures: list[Any] = []
    transport.down()
    delivery = publish(publisher)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))

    async def one() -> None:
        await delivery

    task = loop.create_task(one())
    loop.run_until_complete(asyncio.sleep(0))
    assert waiters(delivery) == 1
    if settles_before_close:
        transport.up()
        assert publisher.flush(LONG)
        loop.close()  # with the wake still in its queue
    else:
        loop.close()
        transport.up()
        assert publisher.flush(LONG)
    assert delivery.state is State.DELIVERED
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    again = asyncio.new_event_loop()
    again.run_until_complete(asyncio.wait_for(one(), LONG))
    again.close()
    assert publish(publisher).wait(LONG).state is State.DELIVERED
    assert not failures


def test_closed_loops_are_let_go(publisher: Publisher, transport: InMemoryTransport) -> None:
    async def main() -> weakref.ref[asyncio.AbstractEventLoop]:
        await publish(publisher)
        return weakref.ref(asyncio.get_running_loop())

    refs = [asyncio.run(main()) for _ in range(5)]
    transport.down()
    caught = publish(publisher)
    loop = asyncio.new_event_loop()

    async def one() -> None:
        await caught

    task = loop.create_task(one())
    loop.run_until_complete(asyncio.sleep(0))
    transport.up()
    assert publisher.flush(LONG)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()  # its waker still holds a future, which holds the loop
    refs.append(weakref.ref(loop))
    del loop, task
    asyncio.run(main())
    gc.collect()
    assert [ref() for ref in refs] == [None] * 6


# -- several loops


def test_several_loops_in_several_threads(publisher: Publisher) -> None:
    """All of them await each other's deliveries too; every future is set on its own loop's thread."""
    shared = [publish(publisher, number) for number in range(100)]
    set_elsewhere: list[str] = []
    receipts: Counter[str] = Counter()
    start = threading.Barrier(4)

    class OwnThreadFuture(asyncio.Future[Any]):
        def set_result(self, result: Any) -> None:
            if threading.get_ident() != thread_of[self.get_loop()]:
                set_elsewhere.append(threading.current_thread().name)
            super().set_result(result)

    thread_of: dict[asyncio.AbstractEventLoop, int] = {}

    async def main() -> None:
        loop = asyncio.get_running_loop()
        thread_of[loop] = threading.get_ident()
        loop.create_future = lambda: OwnThreadFuture(loop=loop)  # type: ignore[method-assign]
        start.wait(LONG)
        for number in range(20):
            mine = [publish(publisher, number) for _ in range(50)]
            for receipt in await asyncio.wait_for(asyncio.gather(*mine, *shared), LONG):
                receipts[receipt.state] += 1

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert receipts == {State.DELIVERED: 4 * 20 * 150}
    assert not set_elsewhere
    assert check_books(publisher).delivered == 4100


def test_an_await_in_one_loop_of_what_a_thread_published(
    publisher: Publisher, transport: InMemoryTransport
) -> None:
    transport.down()
    delivery = publish(publisher)
    threading.Timer(0.05, transport.up).start()

    async def main() -> Receipt:
        return await asyncio.wait_for(delivery, LONG)

    assert asyncio.run(main()).state is State.DELIVERED


@pytest.mark.parametrize("durability", ["memory", "write-ahead"])
def test_kafka_may_have_a_record_and_not_say_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, durability: str
) -> None:
    monkeypatch.setattr("tidings.testing.memorykafka.Taken.offset", lambda _: None)
    transport = InMemoryTransport()
    with Publisher(
        brokers="in-memory.invalid:9092", transport=transport, durability=durability, store_dir=tmp_path
    ) as publisher:
        deliveries = [publisher.produce("t", b"x") for _ in range(100)]
        assert publisher.flush(LONG)
        assert {delivery.wait(LONG).offset for delivery in deliveries} == {-1}
        assert publisher.stats().delivered == 100
