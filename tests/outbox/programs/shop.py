"""A Django service with an outbox, as a manage.py: DATABASE names its database, as a DSN.

``shop.py orders`` commits and rolls back; anything else is a command of Django's.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command, execute_from_command_line
from sqlalchemy import make_url

url = make_url(os.environ["DATABASE"])
DATABASE = (
    {"ENGINE": "django.db.backends.sqlite3", "NAME": url.database}
    if url.drivername == "sqlite"
    else {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.database,
        "USER": url.username,
        "HOST": url.query["host"],
    }
)
settings.configure(
    DATABASES={"default": DATABASE, "orders": DATABASE},
    INSTALLED_APPS=["tidings.outbox.django"],
    TIDINGS={"BROKERS": os.environ["BROKERS"], "SERVICE": "shop", "TOPIC": os.environ["TOPIC"]},
    TIDINGS_OUTBOX={"LOCK_KEYS": True, "NOTIFY": True},
    USE_TZ=True,
)
django.setup()

from django.db import transaction  # noqa: E402

from support.events import OrderPlaced  # noqa: E402
from tidings import PublishError, correlation  # noqa: E402
from tidings.outbox.django import add, add_all  # noqa: E402
from tidings.outbox.django.models import OutboxRow  # noqa: E402


def orders() -> None:
    """Migrate, and print the ids of the events that were committed."""
    call_command("migrate", verbosity=0)
    call_command("makemigrations", "tidings_outbox", check=True, dry_run=True, verbosity=0)
    topic = os.environ["TOPIC"]
    with transaction.atomic(), correlation("r-1"):
        kept = [add(OrderPlaced("k", 1), topic=topic), add(OrderPlaced("k", 2), topic=topic)]
        try:
            with transaction.atomic():
                add(OrderPlaced("gone"), topic=topic)
                raise LookupError
        except LookupError:
            kept += add_all([OrderPlaced("k", 3), OrderPlaced("other", 1)], topic=topic)
    try:
        with transaction.atomic():
            add(OrderPlaced("gone", 2), topic=topic)
            add(object())
    except PublishError as error:
        print(type(error).__name__)
    slip: dict[str, Any] = {"kee": "k1"}
    for refused in (lambda: add(OrderPlaced("k"), **slip), lambda: add_all([OrderPlaced("k")], **slip)):
        try:
            refused()
        except TypeError:
            continue
        raise AssertionError("kee is no option")
    with transaction.atomic(using="orders"):
        kept.append(add(OrderPlaced("k", 4), using="orders", topic=topic))
    assert OutboxRow.objects.count() == len(kept)
    print(json.dumps(kept))


if __name__ == "__main__":
    if sys.argv[1] == "orders":
        orders()
    else:
        execute_from_command_line(sys.argv)
