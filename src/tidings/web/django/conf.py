"""The setting ``TIDINGS``, read when it is asked for: tests override it."""

from __future__ import annotations

from typing import Any

from django.conf import settings


def tidings_setting() -> Any:
    """What stands in the settings; an empty dict where nothing does."""
    return getattr(settings, "TIDINGS", {})
