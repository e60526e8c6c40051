"""The sides of the consuming benchmark: each reads N events with a typed handler, and tells its rate.

The clock starts with the first event a handler gets: joining a group is none of a side's speed.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.corpus import LoggedIn, clock
from tidings import Consumer, Message, Publisher

TOPIC = "consume"
BASE = "confluent-kafka loop, one typed decode (base)"
_TUNED: dict[str, Any] = {
    "auto.offset.reset": "earliest",
    "enable.auto.offset.store": False,
    "enable.auto.commit": True,
    "fetch.queue.backoff.ms": 10,
    "queued.min.messages": 20_000,
}


class Envelope(msgspec.Struct, gc=False):
    """The whole envelope, decoded at once."""

    event_id: str
    event_type: str
    timestamp: str
    source: str
    version: str
    correlation_id: str
    data: LoggedIn


def confluent(brokers: str, count: int) -> float:
    """The base: a bare loop."""
    from confluent_kafka import Consumer

    decode = msgspec.json.Decoder(Envelope).decode
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": str(uuid.uuid4()), **_TUNED})
    consumer.subscribe([TOPIC])
    counter = _Counter(count)

    def handle(_: LoggedIn) -> None:
        counter.add()

    while not counter.done.is_set():
        first: Any = consumer.poll(1.0)
        if first is None:
            continue
        messages: list[Any] = [first, *consumer.consume(499, 0)]
        for message in messages:
            handle(decode(message.value()).data)
            consumer.store_offsets(message)
    consumer.close()
    return counter.rate


class _Counter:
    """What every handler has: it counts to a number, and keeps the time of the first and of the last."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.count = count
        self.started = self.ended = 0.0
        self.done = threading.Event()

    def add(self, number: int = 1) -> None:
        if not self.started:
            self.started = clock()
        self.left -= number
        if self.left <= 0 and not self.ended:
            self.ended = clock()
            self.done.set()

    @property
    def rate(self) -> float:
        return self.count / (self.ended - self.started)


def _tidings(
    brokers: str, count: int, register: Callable[[Consumer, _Counter], None], **settings: Any
) -> float:
    counter = _Counter(count)
    consumer = Consumer(brokers=brokers, topics=TOPIC, group_id=str(uuid.uuid4()), **settings)
    register(consumer, counter)
    with consumer:
        counter.done.wait()
    return counter.rate


def tidings_sync(brokers: str, count: int) -> float:
    """A plain function that gets the data."""

    def register(consumer: Consumer, counter: _Counter) -> None:
        @consumer.on(LoggedIn)
        def handle(_: LoggedIn) -> None:
            counter.add()

    return _tidings(brokers, count, register)


def tidings_message(brokers: str, count: int) -> float:
    """A plain function that gets a Message."""

    def register(consumer: Consumer, counter: _Counter) -> None:
        @consumer.on(LoggedIn)
        def handle(_: Message[LoggedIn]) -> None:
            counter.add()

    return _tidings(brokers, count, register)


def tidings_async(brokers: str, count: int) -> float:
    """A coroutine function."""

    def register(consumer: Consumer, counter: _Counter) -> None:
        @consumer.on(LoggedIn)
        async def handle(_: LoggedIn) -> None:
            counter.add()

    return _tidings(brokers, count, register)


def tidings_batch(brokers: str, count: int) -> float:
    """A function that gets lists."""

    def register(consumer: Consumer, counter: _Counter) -> None:
        @consumer.on_batch(LoggedIn)
        def handle(batch: list[LoggedIn]) -> None:
            counter.add(len(batch))

    return _tidings(brokers, count, register)


def tidings_failing(brokers: str, count: int) -> float:
    """5% of the events fail at their first attempt, and back off for up to 50 ms."""
    import logging

    logging.getLogger("tidings").setLevel(logging.CRITICAL)

    def register(consumer: Consumer, counter: _Counter) -> None:
        number = 0

        @consumer.on(LoggedIn, backoff=0.05)
        def handle(message: Message[LoggedIn]) -> None:
            nonlocal number
            number += 1
            if message.attempt == 1 and number % 20 == 0:
                raise RuntimeError("one in twenty")
            counter.add()

    return _tidings(brokers, count, register, on_outage="letter")


def tidings_sleeping(brokers: str, count: int) -> float:
    """A plain function that sleeps for a millisecond, on 32 threads."""

    def register(consumer: Consumer, counter: _Counter) -> None:
        @consumer.on(LoggedIn)
        def handle(_: LoggedIn) -> None:
            time.sleep(0.001)
            counter.add()

    return _tidings(brokers, count, register)


def tidings_sleeping_async(brokers: str, count: int) -> float:
    """A coroutine that sleeps for a millisecond, a thousand of them."""

    def register(consumer: Consumer, counter: _Counter) -> None:
        @consumer.on(LoggedIn)
        async def handle(_: LoggedIn) -> None:
            await asyncio.sleep(0.001)
            counter.add()

    return _tidings(brokers, count, register, workers=1000)


def aiokafka(brokers: str, count: int) -> float:
    """aiokafka's getmany with the same decode."""

    async def run() -> float:
        from aiokafka import AIOKafkaConsumer

        decode = msgspec.json.Decoder(Envelope).decode
        consumer = AIOKafkaConsumer(
            TOPIC, bootstrap_servers=brokers, group_id=str(uuid.uuid4()), auto_offset_reset="earliest"
        )
        counter = _Counter(count)

        def handle(_: LoggedIn) -> None:
            counter.add()

        await consumer.start()
        while not counter.done.is_set():
            for messages in (await consumer.getmany(timeout_ms=1000, max_records=500)).values():
                for message in messages:
                    handle(decode(message.value).data)
        await consumer.stop()
        return counter.rate

    return asyncio.run(run())


def faststream(brokers: str, count: int) -> float:
    """FastStream's typed handler over confluent-kafka."""
    from faststream.confluent import KafkaBroker

    broker = KafkaBroker(brokers)
    counter = _Counter(count)

    @broker.subscriber(TOPIC, group_id=str(uuid.uuid4()), auto_offset_reset="earliest")
    async def handle(_: dict[str, Any]) -> None:
        counter.add()

    return asyncio.run(_serve(broker, counter))


def faststream_aiokafka(brokers: str, count: int) -> float:
    """FastStream's typed handler over aiokafka."""
    from faststream.kafka import KafkaBroker

    broker = KafkaBroker(brokers)
    counter = _Counter(count)

    @broker.subscriber(TOPIC, group_id=str(uuid.uuid4()), auto_offset_reset="earliest")
    async def handle(_: dict[str, Any]) -> None:
        counter.add()

    return asyncio.run(_serve(broker, counter))


def faststream_batches(brokers: str, count: int) -> float:
    """FastStream's batches over aiokafka."""
    from faststream.kafka import KafkaBroker

    broker = KafkaBroker(brokers)
    counter = _Counter(count)

    @broker.subscriber(
        TOPIC, group_id=str(uuid.uuid4()), auto_offset_reset="earliest", batch=True, max_records=500
    )
    async def handle(batch: list[dict[str, Any]]) -> None:
        counter.add(len(batch))

    return asyncio.run(_serve(broker, counter))


async def _serve(broker: Any, counter: _Counter) -> float:
    await broker.start()
    await asyncio.to_thread(counter.done.wait)
    rate = counter.rate
    await broker.stop()
    return rate


_JOINING = 8.0
"""Seconds for a group to come together and fetch for the first time, on either side."""


def latency(name: str, brokers: str) -> str:
    """Milliseconds from publish to the handler, at 200 events a second."""
    times: list[float] = []
    done = threading.Event()
    count = 1000

    def seen(sent: float) -> None:
        times.append((time.time() - sent) * 1000)
        if len(times) >= count:
            done.set()

    def publish(publisher: Publisher) -> None:
        for _ in range(count):
            publisher.publish({"sent": time.time()}, event_type="latency.measured", topic="latency")
            time.sleep(0.005)

    with Publisher(brokers=brokers, service="bench", durability="memory", flush_timeout=0) as publisher:
        publisher.publish({"sent": 0}, event_type="warm.up", topic="latency").wait(30)
        if name == "tidings":
            consumer = Consumer(brokers=brokers, topics="latency", group_id=str(uuid.uuid4()))

            @consumer.on("latency.measured")
            def handle(data: dict[str, Any]) -> None:
                seen(data["sent"])

            with consumer:
                time.sleep(_JOINING)
                publish(publisher)
                done.wait(60)
        else:
            asyncio.run(_faststream_latency(brokers, lambda: publish(publisher), seen, done))
    ordered = sorted(times)
    return (
        f"publish to handler: p50 {statistics.median(ordered):.2f} ms, "
        f"p99 {ordered[int(len(ordered) * 0.99)]:.2f} ms"
    )


async def _faststream_latency(
    brokers: str, publish: Callable[[], None], seen: Callable[[float], None], done: threading.Event
) -> None:
    from faststream.confluent import KafkaBroker

    broker = KafkaBroker(brokers)

    @broker.subscriber("latency", group_id=str(uuid.uuid4()), auto_offset_reset="latest")
    async def handle(envelope: dict[str, Any]) -> None:
        seen(envelope["data"]["sent"])

    await broker.start()
    await asyncio.sleep(_JOINING)
    await asyncio.to_thread(publish)
    await asyncio.to_thread(done.wait, 60)
    await broker.stop()


SIDES: dict[str, Callable[[str, int], float]] = {
    BASE: confluent,
    "tidings, sync handler": tidings_sync,
    "tidings, sync handler of a Message": tidings_message,
    "tidings, async handler": tidings_async,
    "tidings, batch handler": tidings_batch,
    "tidings, 5% fail and back off 50 ms": tidings_failing,
    "tidings, sync handler that sleeps 1 ms": tidings_sleeping,
    "tidings, async handler that sleeps 1 ms": tidings_sleeping_async,
    "aiokafka getmany, the same decode": aiokafka,
    "FastStream handler (confluent)": faststream,
    "FastStream handler (aiokafka)": faststream_aiokafka,
    "FastStream batches (aiokafka)": faststream_batches,
}
SLOW = {
    "tidings, 5% fail and back off 50 ms": 4,
    "tidings, sync handler that sleeps 1 ms": 8,
    "tidings, async handler that sleeps 1 ms": 4,
    "FastStream handler (confluent)": 20,
    "FastStream handler (aiokafka)": 20,
    "FastStream batches (aiokafka)": 4,
}
"""How many times fewer events a side gets, so that a round stays short."""
