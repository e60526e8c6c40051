"""JSON for the wire: any value to bytes, or an InvalidEvent that names the field at fault."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from tidings.errors import InvalidEvent

Encode = Callable[[Any], bytes]

encode_native: Final[Encode] = msgspec.json.Encoder().encode
"""msgspec's encoder: fast, and silent about NaN and Infinity, which it writes as null."""

REFUSALS = (TypeError, ValueError, OverflowError, RecursionError)
"""What msgspec and pydantic raise for a value they cannot encode (UnicodeEncodeError is a ValueError)."""

_MAX_DEPTH = 200


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
    if b"null" in data and (fault := _fault(value, _not_finite)):
        raise InvalidEvent(fault)


def unencodable(value: object, error: BaseException) -> InvalidEvent:
    """The error to raise for a value that an encoder refused: which field, and why."""
    return InvalidEvent(_fault(value, _not_encodable) or f"the event cannot be written as JSON: {error}")


def _not_finite(leaf: object) -> str | None:
    if isinstance(leaf, float) and not math.isfinite(leaf):
        return f"is {leaf}, which JSON cannot carry"
    return None


def _not_encodable(leaf: object) -> str | None:
    try:
        encode_native(leaf)
    except UnicodeEncodeError:
        return "holds a lone surrogate, which UTF-8 cannot carry"
    except REFUSALS:
        return f"is a {type(leaf).__qualname__}, which has no JSON form"
    return _not_finite(leaf)


def _fault(
    value: object, check: Callable[[object], str | None], path: str = "$", depth: int = 0
) -> str | None:
    """The first fault in ``value``, after the path of the field that has it (``$.items[3].price``)."""
    if depth > _MAX_DEPTH:
        return f"{path[:80]}… is nested deeper than {_MAX_DEPTH} levels, or contains itself"
    parts = _parts(value)
    if parts is None:
        fault = check(value)
        return fault and f"{path} {fault}"
    for name, inner in parts:
        if fault := _fault(inner, check, path + name, depth + 1):
            return fault
    if isinstance(value, Mapping):
        for key in value:
            if fault := _bad_key(key):
                return f"{path} has the key {key!r}, which {fault}"
    return None


def _bad_key(key: object) -> str | None:
    try:
        encode_native({key: 0})
    except UnicodeEncodeError:
        return "holds a lone surrogate, which UTF-8 cannot carry"
    except REFUSALS:
        return "is not a string"
    return None


def _parts(value: object) -> Iterable[tuple[str, object]] | None:
    """The named values inside a container, or None when ``value`` is a leaf."""
    if isinstance(value, Mapping):
        return ((f".{key}" if isinstance(key, str) else f"[{key!r}]", inner) for key, inner in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ((f"[{index}]", inner) for index, inner in enumerate(value))
    if (names := field_names(type(value))) is not None:
        return ((f".{name}", getattr(value, name, None)) for name in names)
    return None


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
