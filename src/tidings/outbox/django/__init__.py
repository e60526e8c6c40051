"""The outbox for Django: ``"tidings.outbox.django"`` in INSTALLED_APPS, ``manage.py migrate``, and then

    with transaction.atomic():
        order.save()
        add(OrderPlaced(order.id, 4200))

and, beside the service, ``manage.py relay``. The publisher's settings are those of ``TIDINGS`` (names
in capitals), before the environment. ``TIDINGS_OUTBOX = {"LOCK_KEYS": True, "NOTIFY": True}`` are the options
of ``tidings.outbox.Outbox`` by these names. Change first and add afterwards: ``tidings.outbox`` says why.
"""

from __future__ import annotations

from tidings.outbox.django.adding import add, add_all
from tidings.outbox.django.conf import drafts
from tidings.outbox.django.database import DjangoDatabase

__all__ = ["DjangoDatabase", "add", "add_all", "drafts"]
