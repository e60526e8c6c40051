"""A consumer as its users run it: says what it does, and is asked to stop by a signal."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time

from support.events import OrderPlaced
from tidings import Consumer
from tidings.consuming.states import ConsumerReport

brokers, topic, group, form = sys.argv[1:]
before = [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)]
consumer = Consumer(
    brokers=brokers,
    topics=topic,
    group_id=group,
    group_protocol="consumer",
    client_config={"fetch.wait.max.ms": 5},
)
asked = threading.Event()


def is_asked() -> bool:
    """True once the consumer begins to end, and everything else is handled."""
    return consumer.stats().is_running is False and consumer.stats().handled == 4


if form == "run":

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        if order.total == 0:
            while consumer.stats().handled < 4:
                time.sleep(0.01)
            print("in hand", flush=True)
            while not is_asked():
                time.sleep(0.01)
            print("finished", flush=True)

    report: ConsumerReport = consumer.run()
else:

    @consumer.on(OrderPlaced)
    async def handle_async(order: OrderPlaced) -> None:
        if order.total == 0:
            while consumer.stats().handled < 4:  # noqa: ASYNC110 - counted by the consumer
                await asyncio.sleep(0.01)
            print("in hand", flush=True)
            while not is_asked():  # noqa: ASYNC110 - said by the consumer
                await asyncio.sleep(0.01)
            print("finished", flush=True)

    report = asyncio.run(consumer.arun())
print(f"handled={report.handled} unfinished={report.unfinished} left={report.left}")
if before == [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)]:
    print("handlers are as before")
