"""Lone events and many waiters: how long from publish to delivered, beside aiokafka at the same linger."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from benchmarks.corpus import clock, encoded, typed
from benchmarks.sides import TOPIC

_LONE = 400
_GAP = 0.01
_PER_TASK_EVENTS = 100_000
Send = Callable[[int], Awaitable[object]]


def _percentiles(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    return f"p50 {p50 * 1000:6.2f} ms   p99 {p99 * 1000:6.2f} ms"


@asynccontextmanager
async def _tidings(brokers: str, linger: float) -> AsyncIterator[Send]:
    from tidings import Publisher

    now = datetime.now(UTC)
    async with Publisher(brokers=brokers, service="bench", flush_timeout=linger) as publisher:
        yield lambda index: publisher.publish(typed(index, now))


@asynccontextmanager
async def _aiokafka(brokers: str, linger: float) -> AsyncIterator[Send]:
    from aiokafka import AIOKafkaProducer

    records = list(encoded(_PER_TASK_EVENTS + 1))
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers,
        linger_ms=int(linger * 1000),
        acks="all",
        enable_idempotence=True,
        compression_type="snappy",
        max_batch_size=1_000_000,
    )
    await producer.start()

    async def send(index: int) -> object:
        record = records[index]
        return await producer.send_and_wait(TOPIC, record.value, record.key, headers=record.headers)

    yield send
    await producer.stop()


Side = Callable[[str, float], AbstractAsyncContextManager[Send]]


def _lone(side: Side, linger: float) -> Callable[[str], str]:
    async def run(brokers: str) -> str:
        taken = []
        async with side(brokers, linger) as send:
            await send(0)
            for index in range(_LONE):
                await asyncio.sleep(_GAP)
                started = clock()
                await send(index)
                taken.append(clock() - started)
        return _percentiles(taken)

    return lambda brokers: asyncio.run(run(brokers))


def _many(side: Side, tasks: int) -> Callable[[str], str]:
    async def run(brokers: str) -> str:
        async with side(brokers, 0.005) as send:
            await send(0)
            each = _PER_TASK_EVENTS // tasks

            async def worker(number: int) -> None:
                for index in range(each):
                    await send(number * each + index)

            started = clock()
            await asyncio.gather(*(worker(number) for number in range(tasks)))
            return f"{each * tasks / (clock() - started):10,.0f} events/s"

    return lambda brokers: asyncio.run(run(brokers))


def _lone_beside_a_flood(brokers: str) -> str:
    """A lone event of one thread, waited for, while another thread publishes as fast as it can."""
    from tidings import Publisher

    now, stop, taken = datetime.now(UTC), threading.Event(), []
    with Publisher(brokers=brokers, service="bench", max_block=30) as publisher:
        publisher.publish(typed(0, now)).wait(30)

        def flood() -> None:
            index = 0
            while not stop.is_set():
                index += 1
                publisher.publish(typed(index, now))

        thread = threading.Thread(target=flood)
        thread.start()
        time.sleep(1)
        before = publisher.stats().accepted
        began = clock()
        for index in range(_LONE):
            time.sleep(_GAP)
            started = clock()
            publisher.publish(typed(index, now)).wait(30)
            taken.append(clock() - started)
        rate = (publisher.stats().accepted - before) / (clock() - began)
        stop.set()
        thread.join()
        publisher.flush(60)
    return f"{_percentiles(taken)}   beside {rate:,.0f} events/s"


SCENES: dict[str, Callable[[str], Any]] = {
    "lone event, linger 5: tidings": _lone(_tidings, 0.005),
    "lone event, linger 5: aiokafka": _lone(_aiokafka, 0.005),
    "lone event, linger 0: tidings": _lone(_tidings, 0.0),
    "lone event, linger 0: aiokafka": _lone(_aiokafka, 0.0),
    "lone event beside a flood: tidings": _lone_beside_a_flood,
    "1,000 coroutines, each awaiting: tidings": _many(_tidings, 1_000),
    "1,000 coroutines, each awaiting: aiokafka": _many(_aiokafka, 1_000),
    "10,000 coroutines, each awaiting: tidings": _many(_tidings, 10_000),
    "10,000 coroutines, each awaiting: aiokafka": _many(_aiokafka, 10_000),
}
