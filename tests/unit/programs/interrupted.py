"""Publishes hot on the main thread while a raising signal handler interrupts it thousands of times.

Arguments: the exception's name, how many times, and what is hot: publish, fail, flush, wait or batch.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
import queue
import random
import signal
import sys
import threading
from types import FrameType
from typing import Any

from support.books import LONG, check_books, check_closed, ids_of, settle
from support.events import OrderPlaced
from tidings import Delivery, DeliveryError, Publisher, State
from tidings.testing.memory import InMemoryTransport

Boom: type[BaseException] = getattr(builtins, sys.argv[1])
TIMES, HOT = int(sys.argv[2]), sys.argv[3]
logging.disable(logging.CRITICAL)
transport = InMemoryTransport(queue_messages=2000)
publisher = Publisher(transport=transport, service="interrupted", max_block=LONG)
returned: list[Delivery] = []
to_wait: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
to_await: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
waited: list[str] = []
interrupts: list[str] = []


def on_alarm(_: int, frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00002, 0.0004))
    while frame is not None:
        if frame.f_code in HOT_CODES:
            interrupts.append(frame.f_code.co_name)
            raise Boom("boom")
        frame = frame.f_back


def hot_publish() -> None:
    while True:
        delivery = publisher.publish(OrderPlaced("o", len(returned)))
        returned.append(delivery)
        if len(returned) % 7 == 0:
            to_wait.put(delivery)
            to_await.put(delivery)


def hot_fail() -> None:
    while True:
        if random.random() < 0.3:
            transport.fail("_MSG_TIMED_OUT")
        delivery = publisher.publish(OrderPlaced("o", len(returned)))
        returned.append(delivery)
        if len(returned) % 5 == 0:
            to_wait.put(delivery)
            to_await.put(delivery)


def hot_flush() -> None:
    while True:
        for _ in range(50):
            returned.append(publisher.publish(OrderPlaced("o")))
        to_wait.put(returned[-1])
        publisher.flush(LONG)


def hot_wait() -> None:
    while True:
        returned.append(publisher.publish(OrderPlaced("o")))
        to_await.put(returned[-1])
        returned[-1].wait(LONG)
        publisher.stats()
        publisher.audit()


def hot_batch() -> None:
    while True:
        returned.extend(publisher.publish_batch([OrderPlaced("o")] * 5))


def survive(hot: Any) -> None:
    while len(interrupts) < TIMES:
        try:
            hot()
        except Boom:
            continue


def wait_all() -> None:
    while (delivery := to_wait.get()) is not None:
        try:
            delivery.wait(LONG)
            waited.append("waited")
        except DeliveryError:
            waited.append("lost")
        except TimeoutError:
            waited.append("HANGS")


def await_all() -> None:
    async def one(delivery: Delivery) -> None:
        try:
            await asyncio.wait_for(delivery, LONG)
            waited.append("awaited")
        except DeliveryError:
            waited.append("lost")
        except TimeoutError:
            waited.append("HANGS")

    async def main() -> None:
        tasks = set()
        while (delivery := await asyncio.to_thread(to_await.get)) is not None:
            tasks.add(asyncio.create_task(one(delivery)))
        await asyncio.gather(*tasks)

    asyncio.run(main())


hot = {name.removeprefix("hot_"): function for name, function in globals().items() if name.startswith("hot_")}
HOT_CODES = {hot[HOT].__code__}
threads = [threading.Thread(target=target) for target in (wait_all, wait_all, await_all)]
for thread in threads:
    thread.start()
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.001)
survive(hot[HOT])
signal.signal(signal.SIGALRM, signal.SIG_IGN)
signal.setitimer(signal.ITIMER_REAL, 0)

stats = settle(publisher)  # nothing is in flight for ever
for end in (to_wait, to_wait, to_await):
    end.put(None)
for thread in threads:
    thread.join(2 * LONG)
    assert not thread.is_alive(), "a waiter hangs"
assert "HANGS" not in waited, "a wake was lost"
assert HOT == "batch" or waited
assert stats.in_flight == 0
assert stats.accepted == stats.delivered + stats.lost
assert 0 <= stats.accepted - len(returned) <= 5 * len(interrupts), "no more than what the interrupts cut off"
assert {delivery.state for delivery in returned} <= {State.DELIVERED, State.LOST}
ids = ids_of(transport)
assert len(ids) >= stats.delivered, "duplicates, never a loss"
for delivery in returned:
    assert (delivery.event_id in ids) or delivery.state is State.LOST
resent = [record for record in transport.records if "tidings-resent" in dict(record.headers)]
assert all(dict(record.headers)["tidings-resent"] in {b"2", b"3", b"4", b"5"} for record in resent)
assert HOT == "fail" or stats.lost == 0
transport._faults.clear()
assert publisher.publish(OrderPlaced("last")).wait(LONG).state is State.DELIVERED
check_closed(publisher)
check_books(publisher)
print(
    f"{len(interrupts)} interrupts, {stats.accepted} accepted, {len(resent)} resent, {len(waited)} waited for"
)
