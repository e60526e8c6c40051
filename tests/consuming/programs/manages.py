"""Two consumers under a manager, as users run them; asked to stop by a signal."""

from __future__ import annotations

import asyncio
import sys
import time

from support.events import OrderPlaced
from tidings import Manager

brokers, topic, form = sys.argv[1:]
manager = Manager(
    brokers=brokers,
    group_protocol="consumer",
    durability="memory",
    client_config={"fetch.wait.max.ms": 5},
)
first = manager.consumer(topic, "first")
second = manager.consumer(topic, "second")


@first.on(OrderPlaced)
def handle(order: OrderPlaced) -> None:
    while not second.stats().handled:
        time.sleep(0.01)
    print("in hand", flush=True)
    while first.stats().is_running:
        time.sleep(0.01)
    manager.publisher.publish_json(f"{topic}-copy", {"total": order.total})


@second.on(OrderPlaced)
async def handle_async(order: OrderPlaced) -> None:
    await asyncio.sleep(0)


report = manager.run() if form == "run" else asyncio.run(manager.arun())
assert report.publisher is not None
print({name: it.handled for name, it in report.consumers.items()}, report.publisher.delivered)
