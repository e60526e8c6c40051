"""The app: its model and its migrations."""

from __future__ import annotations

from django.apps import AppConfig


class OutboxConfig(AppConfig):  # type: ignore[misc]
    """``"tidings.outbox.django"`` in INSTALLED_APPS."""

    name = "tidings.outbox.django"
    label = "tidings_outbox"
    verbose_name = "tidings outbox"
    default_auto_field = "django.db.models.BigAutoField"
