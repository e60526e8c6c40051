"""What JSON cannot carry, by the path of the field that has it; never what a marked field holds."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from tidings.errors import InvalidEvent
from tidings.events.payloads.places import ANYTHING, Place, plain_value
from tidings.events.payloads.walk import Part, parts

Encode = Callable[[Any], bytes]
Check = Callable[[object], str | None]


def _as_base(value: object) -> object:
    """What JSON has a form of by its base class, as Django's SafeString has."""
    for base, plain in ((str, str.__str__), (int, int.__index__), (float, float.__float__)):
        if isinstance(value, base) and not isinstance(value, bool):
            return plain(value)  # type: ignore[arg-type]
    raise TypeError(f"Encoding objects of type {type(value).__qualname__} is unsupported")


encode_native: Final[Encode] = msgspec.json.Encoder(enc_hook=_as_base).encode
"""msgspec's encoder: fast, and silent about NaN and Infinity, which it writes as null."""

REFUSALS = (TypeError, ValueError, OverflowError, RecursionError, AttributeError)
"""What msgspec and pydantic raise for a value they cannot encode (UnicodeEncodeError is a ValueError)."""

_SHOWING = ("Invalid enum value", "Invalid value", "Object contains unknown field")
"""What msgspec says before it shows something of the data; then comes the path."""

_MAX_DEPTH = 200
_SHOWN = 120


def refuse_hidden_nan(value: object, data: bytes, place: Place = ANYTHING) -> None:
    """Raise InvalidEvent if a ``null`` in ``data`` was a NaN or an Infinity in ``value``."""
    if b"null" in data and (fault := _fault(value, _not_finite, sys.getrecursionlimit(), place)):
        raise InvalidEvent(fault)


def unencodable(
    value: object, error: BaseException, place: Place = ANYTHING, *, hide: bool = False
) -> InvalidEvent:
    """The error to raise for a value that an encoder refused: which field, and why.

    ``hide`` keeps the encoder's own words out of it, for a value with marks.
    """
    said = type(error).__name__ if hide else error
    fault = _fault(value, _not_encodable, _MAX_DEPTH, place)
    return InvalidEvent(fault or f"the event cannot be written as JSON: {said}")


def unreadable(error: Exception, *, hide: bool = False) -> str:
    """Why msgspec does not take data for what its class declares; with ``hide``, without any value."""
    text = str(error)
    if not isinstance(error, msgspec.MsgspecError):
        return type(error).__qualname__ if hide else f"{type(error).__qualname__}: {text}"
    if not hide:
        return text
    if (cause := error.__cause__) is not None:  # what __post_init__ raised, in its own words
        words = str(cause)
        return f"{type(cause).__qualname__}{text[len(words) :] if text.startswith(words) else ''}"
    for words in _SHOWING:
        if text.startswith(words):
            return words + text[text.rfind(" - at `$") :] if " - at `$" in text else words
    return text


def _not_finite(leaf: object) -> str | None:
    number = plain_value(leaf)
    if isinstance(number, float) and not math.isfinite(number):
        return f"is {number}, which JSON cannot carry"
    return None


def _not_encodable(leaf: object) -> str | None:
    try:
        encode_native(leaf)
    except UnicodeEncodeError:
        return "holds a lone surrogate, which UTF-8 cannot carry"
    except REFUSALS:
        return f"is a {type(leaf).__qualname__}, which has no JSON form"
    return _not_finite(leaf)


def _fault(value: object, check: Check, deepest: int, place: Place) -> str | None:
    """The first fault in ``value``, after the path of the field that has it (``$.items[3].price``).

    Walks without recursion: a value that could be encoded may be as deep as Python's own stack.
    """
    under_way: list[tuple[str, bool, Iterator[Part]]] = [("", False, iter([("$", value, place)]))]
    while under_way:
        path, hidden, rest = under_way[-1]
        for name, inner, there in rest:
            here = path if hidden else path + name
            marked = hidden or there.mark is not None
            if (found := parts(inner, there)) is None:
                if fault := check(inner):
                    return _said(here, marked, fault)
                continue
            if isinstance(inner, Mapping) and (fault := _bad_key(inner)):
                return _said(here, marked, fault)
            if len(under_way) > deepest:
                return f"{_cut(here)} is nested deeper than {deepest} levels, or contains itself"
            under_way.append((here, marked, iter(found)))
            break
        else:
            under_way.pop()
    return None


def _said(path: str, marked: bool, fault: str) -> str:
    return f"{_cut(path)} {'holds what JSON cannot carry (marked, so not shown)' if marked else fault}"


def _bad_key(mapping: Mapping[object, object]) -> str | None:
    for key in mapping:
        try:
            encode_native({key: 0})
        except UnicodeEncodeError:
            return f"has the key {_cut(repr(key))}, which holds a lone surrogate, which UTF-8 cannot carry"
        except REFUSALS:
            return f"has the key {_cut(repr(key))}, which is not a string"
    return None


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"
