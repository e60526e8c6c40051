"""The database."""

from __future__ import annotations

from django.db import models


class Order(models.Model):  # type: ignore[misc]
    """One order."""

    order_id = models.SlugField(primary_key=True)
    total = models.IntegerField()
    shipped = models.BooleanField(default=False)
