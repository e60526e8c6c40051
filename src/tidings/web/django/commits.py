"""Publishing from Django: at once, or when the transaction has been committed."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from tidings.events.correlation import current_correlation_id
from tidings.publishing.entry import Delivery
from tidings.web.django.holding import get_publisher


def publish(event: object, **options: Any) -> Delivery:
    """``Publisher.publish`` of this process's publisher."""
    return get_publisher().publish(event, **options)


def publish_on_commit(event: object, *, using: str | None = None, **options: Any) -> None:
    """Publish when the transaction of the database ``using`` (default: the default one) has been committed.

    Rolled back means never published; outside a transaction it is published at once. ``options`` are those
    of ``Publisher.publish``; the correlation id is that of now. What publishing raises after the commit is
    logged by Django (``django.db.backends.base``), as nothing can be taken back; outside a transaction it is
    raised. A process that dies between the commit and the publishing publishes nothing: where that may not
    be, use the outbox.
    """
    if options.get("correlation_id") is None:
        options["correlation_id"] = current_correlation_id()
    robust = transaction.get_connection(using).in_atomic_block

    def publish_event() -> None:
        publish(event, **options)

    transaction.on_commit(publish_event, using=using, robust=robust)
