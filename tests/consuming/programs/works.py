"""A worker that is killed again and again: it publishes a result for each event, and writes it down."""

from __future__ import annotations

import os
import sys

from support.events import OrderPlaced
from tidings import Consumer, Message, Publisher

brokers, topic, results, group, ledger = sys.argv[1:]
publisher = Publisher(brokers=brokers, service="worker", durability="memory")
consumer = Consumer(
    brokers=brokers,
    topics=topic,
    group_id=group,
    group_instance_id="worker-1",
    session_timeout="6s",
    client_config={"auto.commit.interval.ms": 100},
)
book = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@consumer.on(OrderPlaced)
def handle(message: Message[OrderPlaced]) -> None:
    """Publish first: a line without a result would be a loss."""
    number = message.data.total
    publisher.publish(
        {"number": number}, event_type="order.billed", topic=results, key=f"{message.partition}-{number % 7}"
    )
    os.write(book, f"{message.partition} {number % 7} {number}\n".encode())


consumer.run()
