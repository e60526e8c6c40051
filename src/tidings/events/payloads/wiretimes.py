"""Times on the wire: durations as integer nanoseconds, moments in UTC with a Z, none without a time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from tidings.errors import InvalidEvent
from tidings.events.payloads.walk import step

_TIMES = frozenset({datetime, timedelta})
_LOOKED_INTO = _TIMES | {dict, list, tuple}
_DAY = 86_400_000_000_000
_MOST = 1_000_000_000 * _DAY
_DURATION = re.compile(rb"P[\dT]")
# All of a fraction, then no Z. Possessive: half of a fraction never has one.
_ODD_MOMENT = re.compile(rb"T\d\d:\d\d:\d\d(?:\.\d++)?+(?!Z)")


def may_hold_odd_times(data: bytes) -> bool:
    """False where JSON surely has no duration and no moment outside of UTC. Texts may look like them.

    0.3 µs for 250 bytes: two searches for a letter, where patterns that begin with the quote take 1.0.
    """
    return _DURATION.search(data) is not None or _ODD_MOMENT.search(data) is not None


def with_wire_times(tree: Any, *, need_zones: bool = True) -> Any:
    """A tree of JSON values that holds datetimes and timedeltas, with these as the wire has them.

    Changes the tree. Raises InvalidEvent, naming the path, for a datetime without a time zone (unless
    ``need_zones`` is false) and for one that UTC has no year for.
    """
    try:
        return _written(tree, need_zones)
    except _Wrong as wrong:
        fault = f"${''.join(reversed(wrong.steps))} {wrong}"
    raise InvalidEvent(fault)


def to_nanoseconds(duration: timedelta) -> int:
    """Integer nanoseconds, as Go's time.Duration marshals."""
    return duration.days * _DAY + duration.seconds * 1_000_000_000 + duration.microseconds * 1000


def from_nanoseconds(nanoseconds: Any) -> timedelta:
    """The nearest timedelta, which counts microseconds. Raises OverflowError beyond 2.7 million years."""
    if abs(nanoseconds) > _MOST:  # before int() writes out a 1e999999
        raise OverflowError
    return timedelta(microseconds=(int(nanoseconds) + 500) // 1000)


class _Wrong(Exception):
    """What is wrong with a time, and the steps to it, innermost first."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.steps: list[str] = []


def _written(tree: Any, need_zones: bool) -> Any:
    cls = tree.__class__
    if cls is timedelta:
        return to_nanoseconds(tree)
    if cls is datetime:
        return _in_utc(tree, need_zones)
    if cls is dict:
        has_times_as_keys = False
        for key, value in tree.items():
            if value.__class__ in _LOOKED_INTO:
                tree[key] = _at(key, value, need_zones)
            if key.__class__ in _TIMES:
                has_times_as_keys = True
        return _with_keys(tree, need_zones) if has_times_as_keys else tree
    if cls is list or cls is tuple:
        return [
            _at(index, value, need_zones) if value.__class__ in _LOOKED_INTO else value
            for index, value in enumerate(tree)
        ]
    return tree


def _at(key: Any, value: Any, need_zones: bool) -> Any:
    try:
        return _written(value, need_zones)
    except _Wrong as wrong:
        wrong.steps.append(step(key))
        raise


def _with_keys(tree: dict[Any, Any], need_zones: bool) -> dict[Any, Any]:
    return {_at(str(key), key, need_zones): value for key, value in tree.items()}


def _in_utc(moment: datetime, need_zones: bool) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    if moment.utcoffset() is None:
        if need_zones:
            raise _Wrong("has no time zone: use datetime.now(timezone.utc)")
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise _Wrong("is outside of the years 1 to 9999 in UTC") from None
