"""Readers: JSON to an instance of a class, as the encoders wrote it: nanoseconds become timedeltas."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, TypeVar

import msgspec

from tidings.errors import ConfigError, DecodeError
from tidings.events.payloads.faults import unreadable
from tidings.events.payloads.places import is_pydantic, place_of
from tidings.events.payloads.rewriting import as_read, is_read_otherwise
from tidings.events.payloads.shape import Reach, reach
from tidings.events.payloads.walk import step

T = TypeVar("T")
_Decode = Callable[[bytes], Any]

# Decimals keep every digit of the numbers that are only passed on.
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_MOST_FAULTS = 3


def reader_for(cls: type[T]) -> Callable[[bytes], T]:
    """A function that makes an instance of a Struct, dataclass, pydantic model or TypedDict from JSON.

    Integers are nanoseconds where the annotation says timedelta. What is Secret, and so not on the wire, gets
    its default, or None, or an empty str or bytes. Fields that the class does not know are ignored, unless it
    forbids them itself.

    The function raises DecodeError, which names the path and shows no marked value. ``reader_for`` raises
    ConfigError for a class that cannot be read. Both are safe from any thread.
    """
    hashable: Any = cls
    reader: Callable[[bytes], T] = _reader(hashable)
    return reader


def converter_for(cls: type[T]) -> Callable[[Any], T]:
    """``reader_for`` for JSON that is decoded already, into dicts, lists and plain values; changes none."""
    hashable: Any = cls
    converter: Callable[[Any], T] = _converter(hashable)
    return converter


@lru_cache(maxsize=4096)
def _reader(cls: Any) -> Callable[[bytes], Any]:
    found, decode, place = reach(cls), _decoder(cls), place_of(cls)
    if not is_read_otherwise(found):
        return _explaining(cls, found, decode)
    return _explaining(cls, found, lambda data: decode(_encode(as_read(_decode(data), place))))


@lru_cache(maxsize=4096)
def _converter(cls: Any) -> Callable[[Any], Any]:
    found, decode, place = reach(cls), _decoder(cls), place_of(cls)
    if not is_read_otherwise(found):
        return _explaining(cls, found, lambda data: decode(_encode(data)))
    return _explaining(cls, found, lambda data: decode(_encode(as_read(data, place))))


def _decoder(cls: Any) -> _Decode:
    if is_pydantic(cls):
        return lambda data: cls.model_validate_json(data, by_alias=True, by_name=True)
    try:
        return msgspec.json.Decoder(cls).decode
    except (TypeError, ValueError, NameError) as error:
        raise ConfigError(f"{cls.__qualname__} cannot be read from JSON: {error}") from None


def _explaining(cls: type, found: Reach, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``read`` with its errors as DecodeError, which has no other error behind it that might show values."""
    explain = _model_explainer(found) if is_pydantic(cls) else partial(unreadable, hide=found.has_marks)

    def explained(data: Any) -> Any:
        try:
            return read(data)
        except Exception as error:  # a validator of the user's may raise anything
            fault = f"{cls.__qualname__}: {explain(error)}"
        raise DecodeError(fault)

    return explained


def _model_explainer(found: Reach) -> Callable[[Exception], str]:
    """A function that says where and why pydantic takes no data; of marked classes, without any of it."""
    from pydantic import ValidationError  # noqa: PLC0415 - only where models are used

    hide = found.has_marks
    names = {name for field in found.fields for name in field.read_names}

    def one(fault: Any) -> str:
        path = "".join(
            "[...]" if hide and isinstance(part, str) and part not in names else step(part)
            for part in fault["loc"]
        )
        return f"{fault['type'] if hide else fault['msg']} - at `${path}`"

    def explain(error: Exception) -> str:
        if not isinstance(error, ValidationError):
            return unreadable(error, hide=hide)
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        more = [f"and {len(faults) - _MOST_FAULTS} more"] if len(faults) > _MOST_FAULTS else []
        return "; ".join([*map(one, faults[:_MOST_FAULTS]), *more])

    return explain
