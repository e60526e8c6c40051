"""Correlation ids that come and go in headers, checked: what came from outside ends up in logs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from tidings.events.ids import Stamper

HEADERS: Final = ("x-correlation-id", "x-request-id")
"""Read in this order: the first that holds a valid id."""

_VALID = re.compile(r"[!-~]{1,128}")


def is_valid(value: str) -> bool:
    """True for 1 to 128 printable ASCII characters without spaces."""
    return _VALID.fullmatch(value) is not None


def ids_for(headers: Mapping[str, str], names: tuple[str, ...], new: str) -> tuple[str, dict[str, str]]:
    """The correlation id of a request, and what its response says under each of ``names``.

    A valid id that came under a name goes back under it; everywhere else stands the correlation id: the first
    valid one, else ``new``.
    """
    given = {name: value for name in names if (value := headers.get(name)) is not None and is_valid(value)}
    if not given:
        return new, dict.fromkeys(names, new)
    correlation_id = next(iter(given.values()))
    return correlation_id, {name: given.get(name, correlation_id) for name in names}


_stamp = Stamper(lambda: None)


def entry_id() -> str:
    """A UUIDv7 for one request, 0.3 µs. Any thread, and again its own after a fork."""
    return _stamp()[0].decode()


def _start_afresh() -> None:
    global _stamp  # noqa: PLW0603 - the parent goes on with its own
    _stamp = Stamper(lambda: None)


os.register_at_fork(after_in_child=_start_afresh)
