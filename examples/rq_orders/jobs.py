"""Jobs that publish under the correlation id of whoever enqueued them."""

from __future__ import annotations

import msgspec
from redis import Redis
from rq import Queue

from tidings import Publisher, event
from tidings.web.rq import CorrelatedJob, closing


@event("order.invoiced", topic="orders", key="order_id")
class OrderInvoiced(msgspec.Struct):
    """The invoice is on its way."""

    order_id: str


publisher = Publisher.from_env()  # connects to nothing yet, and serves each work horse
OrdersWorker = closing(publisher)


def queue(connection: Redis) -> Queue:
    """Where jobs are enqueued: ``queue(redis).enqueue(invoice, "o-1")``."""
    return Queue("orders", connection=connection, job_class=CorrelatedJob)


def invoice(order_id: str) -> None:
    """One job."""
    publisher.publish(OrderInvoiced(order_id))
