"""``manage.py relay_events``: another name of ``relay``, for where another app has a command of that name."""

from __future__ import annotations

from tidings.outbox.django.management.commands.relay import Command

__all__ = ["Command"]
