"""Adding events to a transaction of Django's ORM."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from django.db import DEFAULT_DB_ALIAS, connections

from tidings.outbox.django.conf import drafts, wants
from tidings.outbox.drafting import NewRow, Options
from tidings.outbox.table import NAME


def add(event: object, using: str = DEFAULT_DB_ALIAS, **options: Unpack[Options]) -> str:
    """Add an event to the transaction of the database ``using``; its event_id, which is final.

    It is published once that is committed, and never when it is rolled back; outside of a transaction the
    insert is one of its own. ``options`` are those of ``Publisher.publish``; ``correlation_id`` defaults to
    the one in force here. Raises PublishError, and nothing is inserted, when the event could not be published
    as it is; ConfigError when TIDINGS is wrong.
    """
    row = drafts().row(event, **options)
    _insert([row], using)
    return row["event_id"]


def add_all(events: Iterable[object], using: str = DEFAULT_DB_ALIAS, **options: Unpack[Options]) -> list[str]:
    """``add`` for each of ``events``, in one statement: all or none. Their event_ids."""
    rows = [drafts().row(event, **options) for event in events]
    _insert(rows, using)
    return [row["event_id"] for row in rows]


def _insert(rows: list[NewRow], using: str) -> None:
    from tidings.outbox.django.models import OutboxRow  # noqa: PLC0415 - once the apps are loaded

    connection = connections[using]
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        if is_postgres and wants("LOCK_KEYS"):
            for lane in sorted({row["lane"] for row in rows if row["lane"] is not None}):
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lane])
        OutboxRow.objects.using(using).bulk_create([OutboxRow(**row) for row in rows])
        if is_postgres and rows and wants("NOTIFY"):
            cursor.execute("SELECT pg_notify(%s, '')", [NAME])
