"""The sides of the publishing benchmark: each sends N events, waits for all acknowledgements, tells its rate.

One warm-up event comes first: the idempotence id costs a pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from benchmarks.corpus import clock, prepared, typed

CONFLUENT = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 5,
    "compression.type": "snappy",
    "batch.size": 1_000_000,
    "batch.num.messages": 1_000,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 65_536,
    "partitioner": "murmur2_random",
}
_FASTSTREAM: dict[str, Any] = {
    "linger_ms": 5,
    "enable_idempotence": True,
    "acks": "all",
    "compression_type": "snappy",
}
TOPIC = "bench"


def raw(brokers: str, count: int) -> float:
    """The base: confluent-kafka's Producer, everything encoded beforehand."""
    from confluent_kafka import Producer

    records = prepared(count)
    producer = Producer({"bootstrap.servers": brokers, **CONFLUENT})
    delivered = 0

    def report(error: object, _: object) -> None:
        nonlocal delivered
        delivered += error is None

    producer.produce(TOPIC, b"warm-up")
    producer.flush()
    started = clock()
    for index, record in enumerate(records):
        while True:
            try:
                producer.produce(
                    TOPIC, value=record.value, key=record.key, headers=record.headers, on_delivery=report
                )
                break
            except BufferError:
                producer.poll(0.01)
        if index % 500 == 0:
            producer.poll(0)
    producer.flush()
    rate = count / (clock() - started)
    assert delivered == count
    return rate


def tidings_produce(brokers: str, count: int) -> float:
    """tidings.produce() of bytes with three of the headers; it writes the fourth, event_id, itself."""
    from tidings import Publisher

    records = [(value, key, headers[1:]) for value, key, headers in prepared(count)]
    with Publisher(brokers=brokers, service="bench", max_block=30) as publisher:
        publisher.produce(TOPIC, b"warm-up").wait(30)
        started = clock()
        for value, key, headers in records:
            publisher.produce(TOPIC, value, key, headers=headers)
        publisher.flush()
        rate = count / (clock() - started)
        assert publisher.stats().delivered == count + 1
    return rate


def tidings_publish(brokers: str, count: int, **settings: Any) -> float:
    """tidings.publish() of typed events: made, checked, encoded, enveloped and accounted for in the clock."""
    from tidings import Publisher

    with Publisher(brokers=brokers, service="bench", max_block=30, **settings) as publisher:
        publisher.publish(typed(0, datetime.now(UTC))).wait(30)
        publish, now = publisher.publish, datetime.now(UTC)
        started = clock()
        for index in range(count):
            publish(typed(index, now))
        publisher.flush()
        rate = count / (clock() - started)
        assert publisher.stats().delivered == count + 1
    return rate


def aiokafka(brokers: str, count: int) -> float:
    """aiokafka's producer: send() for each, then every future awaited."""

    async def run() -> float:
        from aiokafka import AIOKafkaProducer

        records = prepared(count)
        producer = AIOKafkaProducer(
            bootstrap_servers=brokers,
            linger_ms=5,
            acks="all",
            enable_idempotence=True,
            compression_type="snappy",
            max_batch_size=1_000_000,
        )
        await producer.start()
        await producer.send_and_wait(TOPIC, b"warm-up")
        started = clock()
        futures = [await producer.send(TOPIC, r.value, r.key, headers=r.headers) for r in records]
        await asyncio.gather(*futures)
        rate = count / (clock() - started)
        await producer.stop()
        return rate

    return asyncio.run(run())


def aio_producer(brokers: str, count: int) -> float:
    """confluent-kafka's own AIOProducer. It refuses headers in its batches, so it sends none."""

    async def run() -> float:
        from confluent_kafka.aio import AIOProducer

        records = prepared(count)
        producer = AIOProducer({"bootstrap.servers": brokers, **CONFLUENT})
        await (await produce_and_flush(producer, b"warm-up"))
        started = clock()
        futures = [await producer.produce(TOPIC, value=r.value, key=r.key) for r in records]
        await producer.flush()
        await asyncio.gather(*futures)
        rate = count / (clock() - started)
        await producer.close()
        return rate

    async def produce_and_flush(producer: Any, value: bytes) -> Awaitable[Any]:
        future: Awaitable[Any] = await producer.produce(TOPIC, value=value)
        await producer.flush()
        return future

    return asyncio.run(run())


def faststream_confluent(brokers: str, count: int) -> float:
    """FastStream over confluent-kafka, without waiting for each confirmation."""

    async def run() -> float:
        from faststream.confluent import KafkaBroker

        broker = KafkaBroker(
            brokers, linger_ms=5, enable_idempotence=True, acks="all", compression_type="snappy"
        )
        return await _faststream(broker, broker.publish, count)

    return asyncio.run(run())


def faststream_aiokafka(brokers: str, count: int) -> float:
    """FastStream over aiokafka, without waiting for each confirmation."""

    async def run() -> float:
        from faststream.kafka import KafkaBroker

        broker = KafkaBroker(
            brokers,
            linger_ms=5,
            enable_idempotence=True,
            acks="all",
            compression_type="snappy",
            max_batch_size=1_000_000,
        )
        return await _faststream(broker, broker.publish, count)

    return asyncio.run(run())


async def _faststream(broker: Any, publish: Callable[..., Coroutine[Any, Any, Any]], count: int) -> float:
    records = [(r.value, r.key, {name: _text(v) for name, v in r.headers}) for r in prepared(count)]
    await broker.start()
    await publish(b"warm-up", TOPIC)
    started = clock()
    results = [await publish(v, TOPIC, key=k, headers=h, no_confirm=True) for v, k, h in records]
    futures = [r for r in results if asyncio.isfuture(r)]
    if futures:
        await asyncio.gather(*futures)
    await broker.stop()
    return count / (clock() - started)


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


SIDES: dict[str, Callable[[str, int], float]] = {
    "raw confluent-kafka (base)": raw,
    "tidings publish, typed": tidings_publish,
    "tidings produce": tidings_produce,
    "aiokafka": aiokafka,
    "confluent AIOProducer": aio_producer,
    "FastStream (confluent)": faststream_confluent,
    "FastStream (aiokafka)": faststream_aiokafka,
}
SLOW = {"FastStream (confluent)": 20, "FastStream (aiokafka)": 10, "confluent AIOProducer": 4}
"""How many times fewer events a side gets, so that a round stays short."""
