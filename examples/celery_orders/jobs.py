"""Tasks that publish under the correlation id of whoever asked for them."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from celery import Celery

from tidings import Publisher, event
from tidings.web.celery import connect


@event("order.invoiced", topic="orders", key="order_id")
class OrderInvoiced(msgspec.Struct):
    """The invoice is on its way. ``step`` counts what was needed."""

    order_id: str
    step: int = 1


publisher = Publisher.from_env()  # connects to nothing yet, and serves each forked worker
app = Celery("orders", broker=os.environ.get("CELERY_BROKER", "redis://localhost"))
app.conf.task_ignore_result = True
connect(publisher)


@app.task(bind=True, default_retry_delay=0, max_retries=1)  # type: ignore[untyped-decorator]
def invoice(self: Any, order_id: str) -> None:
    """Fails at first, and asks for another task when it is done."""
    if self.request.retries == 0:
        raise self.retry()
    publisher.publish(OrderInvoiced(order_id))
    remind.delay(order_id)


@app.task  # type: ignore[untyped-decorator]
def remind(order_id: str) -> None:
    """The second step."""
    publisher.publish(OrderInvoiced(order_id, step=2))
