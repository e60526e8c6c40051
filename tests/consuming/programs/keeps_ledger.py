"""A member of a group whose handler writes a ledger, may publish, and may kill its process.

Told as JSON: brokers, topic, group, ledger, settings, ``form`` (sync, async or batch); ``results`` (null:
publishes nothing), ``seen`` (null: no dedup; or its file), ``pace`` (seconds a handler takes, while the file
``slow`` is there, if one is named), ``deadly`` (numbers of the events that kill) and ``death``; ``status``: a
file to tell how many partitions are paused.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from support.events import OrderPlaced
from support.ledger import Ledger
from tidings import Consumer, Message, Publisher, SqliteSeen

told = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(message)s")
ledger = Ledger(Path(told["ledger"]))
seen = SqliteSeen(told["seen"]) if told["seen"] else None
consumer = Consumer(
    brokers=told["brokers"], topics=told["topic"], group_id=told["group"], seen=seen, **told["settings"]
)
dedup = "1h" if seen else None
publisher = (
    Publisher(brokers=told["brokers"], service="worker", durability="memory") if told["results"] else None
)
pace: float = told.get("pace", 0)


def watch() -> None:
    """Looks for ``slow``, and tells ``status``."""
    global pace  # noqa: PLW0603
    while True:
        if not Path(told["slow"]).exists():
            pace = 0
        paused = sum(it.is_paused for it in consumer.stats().partitions.values())
        new = Path(told["status"]).with_suffix(".new")
        new.write_text(json.dumps({"paused": paused}))
        new.rename(told["status"])
        time.sleep(0.2)


if "status" in told:
    threading.Thread(target=watch, daemon=True).start()
deadly = set(told.get("deadly", ()))
DEATHS: dict[str, Callable[[], object]] = {
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}
die = DEATHS[told.get("death", "abort")]


def begin(message: Message[OrderPlaced]) -> None:
    ledger.begin(message)
    if message.data.total in deadly:
        die()


def end(message: Message[OrderPlaced]) -> None:
    """Publish first: a line without a result would be a loss."""
    if publisher is not None:
        publisher.publish(
            {"partition": message.partition, "offset": message.offset},
            event_type="order.billed",
            topic=told["results"],
            key=message.data.order_id,
        )
    ledger.done(message)


if told["form"] == "sync":

    @consumer.on(OrderPlaced, dedup=dedup)
    def handle(message: Message[OrderPlaced]) -> None:
        begin(message)
        if pace:
            time.sleep(pace)
        end(message)

    consumer.run()
elif told["form"] == "batch":

    @consumer.on_batch(OrderPlaced, dedup=dedup)
    def handle_batch(messages: list[Message[OrderPlaced]]) -> None:
        for message in messages:
            begin(message)
            if pace:
                time.sleep(pace)
        for message in messages:
            end(message)

    consumer.run()
else:

    @consumer.on(OrderPlaced, dedup=dedup)
    async def handle_async(message: Message[OrderPlaced]) -> None:
        begin(message)
        await asyncio.sleep(pace)
        end(message)

    asyncio.run(consumer.arun())
