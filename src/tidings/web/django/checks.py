"""System checks: what is wrong with ``TIDINGS`` is said before the service starts, every setting at once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from tidings.errors import ConfigError
from tidings.publishing.senders import InMemorySender
from tidings.web.auditing import Auditor
from tidings.web.config import audit_options, publisher_settings
from tidings.web.django.conf import tidings_setting

_MIDDLEWARE = ("tidings.web.django.AuditMiddleware", "tidings.web.django.middleware.AuditMiddleware")


def check_settings(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """``tidings.E001``: settings of the publisher, ``E002``: options of the middleware, ``W001``: options
    without the middleware, ``W002``: a middleware that is not the first, and misses what others answer."""
    from tidings.settings import Settings  # noqa: PLC0415 - pydantic-settings costs 160 ms

    found: list[CheckMessage] = []
    try:
        Settings(**publisher_settings(tidings_setting()))
    except ConfigError as error:
        found.append(Error(str(error.args[0]), hint="Correct TIDINGS in the settings.", id="tidings.E001"))
    try:
        Auditor(InMemorySender(), **audit_options(tidings_setting()))
    except ConfigError as error:
        hint = 'Correct TIDINGS["AUDIT"] in the settings.'
        found.append(Error(str(error.args[0]), hint=hint, id="tidings.E002"))
    return found + _misplaced(list(settings.MIDDLEWARE))


def _misplaced(middleware: list[str]) -> list[CheckMessage]:
    at = next((middleware.index(name) for name in _MIDDLEWARE if name in middleware), None)
    if at is None:
        if "AUDIT" not in tidings_setting():
            return []
        said = 'TIDINGS["AUDIT"] is set, and nothing records requests.'
        return [Warning(said, hint=f'Put "{_MIDDLEWARE[0]}" first in MIDDLEWARE.', id="tidings.W001")]
    if at:
        said = (
            f"What {', '.join(middleware[:at])} may answer is not recorded: tidings' middleware comes later."
        )
        hint = f'Put "{middleware[at]}" first in MIDDLEWARE, or silence this where it is meant.'
        return [Warning(said, hint=hint, id="tidings.W002")]
    return []
