"""The setting ``TIDINGS``: what of it is the publisher's, and what the middleware's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tidings.errors import ConfigError
from tidings.web.options import AuditOptions

_FUNCTIONS = ("user", "resource")


def publisher_settings() -> dict[str, Any]:
    """The publisher's settings, in lower case. Raises ConfigError."""
    return {name: value for name, value in _tidings().items() if name != "audit"}


def audit_options() -> AuditOptions:
    """The middleware's options, functions imported. Raises ConfigError."""
    given = _tidings().get("audit", {})
    if not isinstance(given, Mapping):
        raise ConfigError('TIDINGS["AUDIT"] is a dict.')
    options = {str(name).lower(): value for name, value in given.items()}
    if unknown := sorted(options.keys() - AuditOptions.__annotations__.keys()):
        raise ConfigError(f'TIDINGS["AUDIT"] has no {", ".join(unknown).upper()}.')
    for name in _FUNCTIONS:
        if isinstance(options.get(name), str):
            options[name] = _imported(options[name])
    options.setdefault("service", _tidings().get("service"))
    return cast("AuditOptions", options)


def _tidings() -> dict[str, Any]:
    from django.conf import settings  # noqa: PLC0415 - read when it is asked for

    given = getattr(settings, "TIDINGS", {})
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ConfigError("TIDINGS is a dict with names in capitals.")
    return {name.lower(): value for name, value in given.items()}


def _imported(path: str) -> Any:
    from django.utils.module_loading import import_string  # noqa: PLC0415

    try:
        return import_string(path)
    except ImportError as error:
        raise ConfigError(f'TIDINGS["AUDIT"]: {error}.') from None
