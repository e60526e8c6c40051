"""JSON for the wire: any value to bytes, or an InvalidEvent that names the field at fault."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

import msgspec

from tidings.errors import InvalidEvent

Encode = Callable[[Any], bytes]

encode_native: Final[Encode] = msgspec.json.Encoder().encode
"""msgspec's encoder: fast, and silent about NaN and Infinity, which it writes as null."""

REFUSALS = (TypeError, ValueError, OverflowError, RecursionError, AttributeError)
"""What msgspec and pydantic raise for a value they cannot encode (UnicodeEncodeError is a ValueError)."""

_MAX_DEPTH = 200
_SHOWN = 120


def to_json(value: object) -> bytes:
    """``value`` as JSON, UTF-8. Raises InvalidEvent, naming the path, for what JSON has no form of."""
    try:
        data = encode_native(value)
    except REFUSALS as error:
        raise unencodable(value, error) from None
    refuse_hidden_nan(value, data)
    return data


def refuse_hidden_nan(value: object, data: bytes) -> None:
    """Raise InvalidEvent if a ``null`` in ``data`` was a NaN or an Infinity in ``value``."""
    if b"null" in data and (fault := _fault(value, _not_finite, sys.getrecursionlimit())):
        raise InvalidEvent(fault)


def unencodable(value: object, error: BaseException) -> InvalidEvent:
    """The error to raise for a value that an encoder refused: which field, and why."""
    fault = _fault(value, _not_encodable, _MAX_DEPTH)
    return InvalidEvent(fault or f"the event cannot be written as JSON: {error}")


def _not_finite(leaf: object) -> str | None:
    number = leaf.value if isinstance(leaf, Enum) else leaf
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


def _fault(value: object, check: Callable[[object], str | None], deepest: int) -> str | None:
    """The first fault in ``value``, after the path of the field that has it (``$.items[3].price``).

    Walks without recursion: a value that could be encoded may be as deep as Python's own stack.
    """
    under_way: list[tuple[str, Iterator[tuple[str, object]]]] = [("", iter([("$", value)]))]
    while under_way:
        path, rest = under_way[-1]
        for name, inner in rest:
            here = path + name
            if (parts := _parts(inner)) is None:
                if fault := check(inner):
                    return f"{_cut(here)} {fault}"
                continue
            if isinstance(inner, Mapping) and (fault := _bad_key(inner)):
                return f"{_cut(here)} {fault}"
            if len(under_way) > deepest:
                return f"{_cut(here)} is nested deeper than {deepest} levels, or contains itself"
            under_way.append((here, iter(parts)))
            break
        else:
            under_way.pop()
    return None


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


def _parts(value: object) -> Iterable[tuple[str, object]] | None:
    """The named values inside a container, or None when ``value`` is a leaf."""
    if isinstance(value, Mapping):
        return ((_key_name(key), inner) for key, inner in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ((f"[{index}]", inner) for index, inner in enumerate(value))
    if (names := field_names(type(value))) is not None:
        return ((f".{name}", getattr(value, name, None)) for name in names)
    return None


def _key_name(key: object) -> str:
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"


def field_names(cls: type) -> tuple[str, ...] | None:
    """The fields of a msgspec.Struct, pydantic model or dataclass; None for any other class."""
    if issubclass(cls, msgspec.Struct):
        return cls.__struct_fields__
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    if is_pydantic(cls):
        return tuple(cls.model_fields)  # type: ignore[attr-defined]
    return None


def is_pydantic(cls: type) -> bool:
    """True for a pydantic v2 model class. pydantic itself is imported only if the application did."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)
