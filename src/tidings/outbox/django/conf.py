"""The settings: TIDINGS for the publisher, TIDINGS_OUTBOX for what is done beside inserting."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from tidings.errors import ConfigError
from tidings.outbox.drafting import Drafts

_OPTIONS = {"LOCK_KEYS", "NOTIFY"}


def publisher_settings() -> dict[str, Any]:
    """What TIDINGS says of the publisher, by names in lower case; the middleware's part is left out."""
    given = getattr(settings, "TIDINGS", {})
    return {name.lower(): value for name, value in given.items() if name.upper() != "AUDIT"}


@cache
def drafts() -> Drafts:
    """What makes rows of events in this process. Raises ConfigError."""
    return Drafts(None, **publisher_settings())


def wants(option: str) -> bool:
    """Whether TIDINGS_OUTBOX asks for LOCK_KEYS or NOTIFY. Raises ConfigError for a name it does not know."""
    given: dict[str, Any] = getattr(settings, "TIDINGS_OUTBOX", {})
    if unknown := given.keys() - _OPTIONS:
        raise ConfigError(f"TIDINGS_OUTBOX has no {', '.join(sorted(unknown))}.")
    return bool(given.get(option))


def _forget(*, setting: str, **_: Any) -> None:
    """A test has overridden it."""
    if setting == "TIDINGS":
        drafts.cache_clear()


setting_changed.connect(_forget)
