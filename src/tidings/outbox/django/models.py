"""The table, for Django: the same as ``tidings.outbox.outbox_table``, so that any relay can work on it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from tidings.outbox.table import NAME


class OutboxRow(models.Model):  # type: ignore[misc]
    """An event that is to be published. Times are milliseconds since 1970; rows are the relay's to change."""

    id = models.BigAutoField(primary_key=True)
    event_id = models.TextField()
    topic = models.CharField(max_length=249)
    key = models.BinaryField(null=True)
    value = models.BinaryField(null=True)
    headers = models.TextField()
    lane = models.BigIntegerField(null=True)
    created_at = models.BigIntegerField()
    held_until = models.BigIntegerField(default=0, db_default=0)
    holder = models.CharField(max_length=100, null=True)
    attempts = models.IntegerField(default=0, db_default=0)
    error = models.TextField(null=True)
    sent_at = models.BigIntegerField(null=True)

    class Meta:
        db_table = NAME
        indexes = [  # noqa: RUF012 - Django's way
            models.Index(fields=["id"], condition=Q(sent_at__isnull=True), name=f"{NAME}_unsent"),
            models.Index(fields=["lane", "held_until"], condition=Q(held_until__gt=0), name=f"{NAME}_held"),
            models.Index(fields=["sent_at"], condition=Q(sent_at__isnull=False), name=f"{NAME}_sent"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} for {self.topic}"
