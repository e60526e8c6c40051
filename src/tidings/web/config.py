"""The dict ``TIDINGS`` of Django and Flask: what of it is the publisher's, and what the middleware's."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import Any, cast

from tidings.errors import ConfigError
from tidings.web.options import AuditOptions

_FUNCTIONS = ("user", "resource")


def publisher_settings(given: object) -> dict[str, Any]:
    """The publisher's settings, in lower case. Raises ConfigError."""
    return {name: value for name, value in _lower(given, "TIDINGS").items() if name != "audit"}


def audit_options(given: object) -> AuditOptions:
    """The middleware's options; a function named by its dotted path is imported. Raises ConfigError.

    ``service`` is the publisher's unless it is given.
    """
    ours = _lower(given, "TIDINGS")
    options = {"service": ours.get("service"), **_lower(ours.get("audit") or {}, 'TIDINGS["AUDIT"]')}
    if unknown := sorted(options.keys() - AuditOptions.__annotations__.keys()):
        raise ConfigError(f'TIDINGS["AUDIT"] has no {", ".join(unknown).upper()}.')
    for name in _FUNCTIONS:
        if isinstance(options.get(name), str):
            options[name] = _imported(options[name])
    return cast("AuditOptions", options)


def _lower(given: object, name: str) -> dict[str, Any]:
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ConfigError(f"{name} is a dict with names in capitals.")
    return {key.lower(): value for key, value in given.items()}


def _imported(path: str) -> Any:
    try:
        return pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f'TIDINGS["AUDIT"]: {path!r} cannot be imported: {error}.') from None
