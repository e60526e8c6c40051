"""Has letters handled, slowly, until it is killed: brokers, topic, DLQ topic, results, group, ledger."""

from __future__ import annotations

import os
import sys
import time

from support.events import OrderPlaced, registry
from tidings import Consumer, DeadLetterTopic, Publisher, Replay, Settings

brokers, topic, dlq, results, group, ledger = sys.argv[1:]
publisher = Publisher(brokers=brokers, service="worker", durability="memory", registry=registry)
consumer = Consumer(brokers=brokers, topics=topic, group_id=group)
book = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@consumer.on(OrderPlaced)
def handle(order: OrderPlaced) -> None:
    """Publish first: a line without a result would be a loss."""
    publisher.publish({"number": order.total}, event_type="order.billed", topic=results)
    os.write(book, f"{order.order_id} {order.total}\n".encode())
    time.sleep(0.02)


Replay(source=DeadLetterTopic(Settings(brokers=brokers), dlq), consumer=consumer, all=True).run()
