"""Publishing from Django: at once, or when the transaction has been committed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from tidings.errors import PublishError
from tidings.events.headers import Headers
from tidings.events.keys import Key
from tidings.publishing.entry import Delivery
from tidings.web.django.holding import get_publisher


def publish(event: object, **options: Any) -> Delivery:
    """``Publisher.publish`` of this process's publisher."""
    return get_publisher().publish(event, **options)


def publish_on_commit(
    event: object,
    *,
    using: str | None = None,
    event_type: str | None = None,
    topic: str | None = None,
    key: Key = None,
    headers: Headers | None = None,
    correlation_id: str | None = None,
    event_id: str | None = None,
    timestamp: datetime | int | None = None,
    max_block: float | None = None,
) -> None:
    """Publish when the transaction of the database ``using`` (default: the default one) has been committed.

    Rolled back means never published; outside a transaction it is published at once. The options are those
    of ``Publisher.publish``. The event is checked, encoded, routed and given its event_id now, with the
    correlation id in force here: raises PublishError when it could not be published as it is, as ``publish``
    does, and what becomes of the event after the call changes nothing. What publishing raises after the
    commit, such as QueueFull, is logged by Django (``django.db.backends.base``), as nothing can be taken
    back; outside a transaction it is raised. A process that dies between the commit and the publishing
    publishes nothing: where that may not be, use the outbox.
    """
    publisher = get_publisher()
    try:
        record, priority = publisher._draft(
            event, event_type, topic, key, headers, correlation_id, event_id, timestamp
        )
    except PublishError as error:
        publisher._refused(error, topic, event_id)
        return

    def publish_event() -> None:
        try:
            publisher._accept(*record, -1, 0, max_block, publisher._doors[priority])
        except PublishError as error:
            publisher._refused(error, record[0], record[-1].decode())

    robust = transaction.get_connection(using).in_atomic_block
    transaction.on_commit(publish_event, using=using, robust=robust)
