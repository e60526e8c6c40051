"""Checks of the options: what cannot work is told when a middleware is made, not with the first request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from typing import Any

from tidings.errors import ConfigError
from tidings.publishing.contracts import Sender


def sender(given: Sender) -> Sender:
    """A Sender. Raises ConfigError for what has no ``send``, or one that has to be awaited.

    ``close`` is not looked for: who made it calls that.
    """
    send = getattr(given, "send", None)
    if not callable(send) or _waits(send):
        raise ConfigError(
            "sender has a plain method send(key, value), as what audit_sender(publisher) gives; this is a "
            f"{type(given).__qualname__}."
        )
    return given


def function(given: Callable[[Any], object] | None, option: str) -> Callable[[Any], object] | None:
    """A function of the application, or None. Raises ConfigError for anything else."""
    if given is not None and not callable(given):
        raise ConfigError(f"{option} is a function of the request, not a {type(given).__qualname__}.")
    if given is not None and _waits(given):
        raise ConfigError(f"{option} is called as a plain function, which awaits nothing: make it a def.")
    return given


def several(names: Iterable[str], option: str) -> tuple[str, ...]:
    """Strings that are not empty; one alone is one of them. Raises ConfigError."""
    found = (names,) if isinstance(names, str) or not isinstance(names, Iterable) else tuple(names)
    if not all(isinstance(name, str) and name for name in found):
        raise ConfigError(f"{option} holds strings that are not empty.")
    return found


def within(value: float, most: float, option: str) -> float:
    """A number from 0 to ``most``. Raises ConfigError."""
    if isinstance(value, (int, float)) and 0 <= value <= most:
        return float(value)
    raise ConfigError(f"{option} is a number from 0 to {most}.")


class Exclusions:
    """Which paths have no entries: ``/livez``, or ``/static/*`` for all that begin so. Raises ConfigError."""

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
        for pattern in patterns:
            if not pattern.startswith("/") or "*" in pattern[:-1]:
                raise ConfigError(f"exclude has paths like /livez or /static/*, and {pattern!r} is none.")
        self._paths = frozenset(it for it in patterns if not it.endswith("*"))
        self._starts = tuple(it[:-1] for it in patterns if it.endswith("*"))

    def __call__(self, path: str) -> bool:
        return path in self._paths or path.startswith(self._starts)


def _waits(given: object) -> bool:
    return iscoroutinefunction(given) or iscoroutinefunction(getattr(given, "__call__", None))  # noqa: B004
