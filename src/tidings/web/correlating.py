"""Correlation ids that come and go in headers, checked: what came from outside ends up in logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from tidings.errors import ConfigError

HEADERS: Final = ("x-correlation-id", "x-request-id")
"""Read in this order: the first that holds a valid id."""

_VALID = re.compile(r"[!-~]{1,128}")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of RFC 9110


def lower_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names of headers in lower case. Raises ConfigError for what no server would write."""
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise ConfigError(f"correlation_headers: {name!r} is no name of a header.")
    return tuple(name.lower() for name in names)


def is_valid(value: str) -> bool:
    """True for 1 to 128 printable ASCII characters without spaces."""
    return _VALID.fullmatch(value) is not None


def ids_for(headers: Mapping[str, str], names: tuple[str, ...], new: str) -> tuple[str, dict[str, str]]:
    """The correlation id of a request, and what its response says under which of ``names``.

    It is the first valid one that came, else ``new``, and stands under the first name; a valid id that came
    under another name goes back under that (each header costs a server 3 µs).
    """
    given = {name: value for name in names if (value := headers.get(name)) is not None and is_valid(value)}
    if not given:
        return new, dict.fromkeys(names[:1], new)
    correlation_id = next(iter(given.values()))
    return correlation_id, {names[0]: correlation_id, **given}
