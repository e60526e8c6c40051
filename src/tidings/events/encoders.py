"""Typed payloads to JSON: one encoder a class, which also checks that the fields hold what they declare."""

from __future__ import annotations

import keyword
import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from tidings.errors import InvalidEvent
from tidings.events.codec import (
    REFUSALS,
    Encode,
    encode_native,
    field_names,
    is_pydantic,
    refuse_hidden_nan,
    unencodable,
)

_PLAIN = (str, int, float, bool, bytes, datetime, date, UUID, Decimal, NoneType)


class Encoder(msgspec.Struct, frozen=True):
    """How payloads of one kind become JSON.

    ``encode`` gives bytes, or raises InvalidEvent and names the field. Where ``is_exact(payload)`` is true,
    ``encode_native(payload)`` is as good; None means that it never is.
    """

    encode: Encode
    is_exact: Callable[[Any], bool] | None = None


def encoder_for(cls: type) -> Encoder:
    """The encoder of a msgspec.Struct, dataclass or pydantic model class."""
    return Encoder(_pydantic_encoder(cls)) if is_pydantic(cls) else _native_encoder(cls)


def _native_encoder(cls: type) -> Encoder:
    """For structs and dataclasses, which check nothing when they are made.

    Where every field is plain, a generated test of exact types vouches for the event (0.07 µs for eight
    fields); otherwise, and where it says no, the bytes are decoded as the class again (0.2 µs), which
    finds everything and names the path.
    """
    try:
        read_back: Callable[[bytes], object] = msgspec.json.Decoder(cls).decode
        is_exact = _exact_type_test(cls)
    except (TypeError, ValueError, NameError) as error:  # an annotation that means nothing here, or no JSON
        raise InvalidEvent(f"the fields of {cls.__qualname__} cannot be checked: {error}") from None

    def encode(payload: Any) -> bytes:
        try:
            data = encode_native(payload)
        except REFUSALS as error:
            raise unencodable(payload, error) from None
        if is_exact is None or not is_exact(payload):
            refuse_hidden_nan(payload, data)
            try:
                read_back(data)
            except (msgspec.DecodeError, *REFUSALS) as error:
                raise InvalidEvent(f"{cls.__qualname__}: {error}") from None
        return data

    return Encoder(encode, is_exact)


def _pydantic_encoder(cls: type) -> Encode:
    """For pydantic v2 models: validated when made; one made with model_construct is caught here."""
    from pydantic_core import PydanticSerializationError  # noqa: PLC0415 - only where models are used

    fields = frozenset(field_names(cls) or ())
    never_none = _never_none(cls)
    # By its configuration a model writes NaN as null, as the word NaN, which is no JSON, or as a string.
    how: object = cls.model_config.get("ser_json_inf_nan", "null")  # type: ignore[attr-defined]

    def not_finite(data: bytes) -> bool:
        return b"null" in data if how == "null" else how == "constants" and (b"NaN" in data or b"Inf" in data)

    def encode(payload: Any) -> bytes:
        try:
            data: bytes = payload.model_dump_json(warnings="error").encode()
        except PydanticSerializationError as error:
            raise InvalidEvent(f"{cls.__qualname__}: {error}") from None
        except REFUSALS as error:
            raise unencodable(payload, error) from None
        values = payload.__dict__
        if not fields <= values.keys():
            raise InvalidEvent(
                f"{cls.__qualname__}: no value for {', '.join(sorted(fields - values.keys()))}"
            )
        if b"null" in data and (wrong := [name for name in never_none if values[name] is None]):
            raise InvalidEvent(f"{cls.__qualname__}: None is no value for {', '.join(wrong)}")
        if not_finite(data):
            refuse_hidden_nan(payload.model_dump(warnings=False), b"null")
        return data

    return encode


def _never_none(cls: Any) -> list[str]:
    """The fields of a model that may not be None: pydantic writes a None without looking."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - only where models are used
    from pydantic.errors import PydanticUserError  # noqa: PLC0415

    found = []
    for name, field in cls.model_fields.items():
        try:
            TypeAdapter(field.annotation).validate_python(None)
        except ValidationError:
            found.append(name)
        except (PydanticUserError, NameError, TypeError):  # a type that only the model itself can build
            continue
    return found


def _exact_type_test(cls: type) -> Callable[[Any], bool] | None:
    """A function that is True only for an instance whose every field surely holds its declared type.

    None where classes alone cannot tell: containers, constraints, literals.
    """
    hints = get_type_hints(cls, include_extras=True)
    tests: list[str] = []
    names: dict[str, object] = {"isfinite": math.isfinite}
    for field in field_names(cls) or ():
        allowed = _plain_types(hints.get(field))
        if allowed is None or keyword.iskeyword(field):
            return None
        options = []
        for kind in allowed:
            name = f"kind{len(names)}"
            names[name] = kind
            test = f"p.{field}.__class__ is {name}"
            options.append(f"({test} and isfinite(p.{field}))" if kind is float else test)
        tests.append(f"({' or '.join(options)})")
    # Generated because a loop over the fields costs more than decoding the bytes again; made of
    # identifiers that Python itself accepted as field names.
    is_exact: Callable[[Any], bool] = eval(f"lambda p: {' and '.join(tests) or 'True'}", names)  # noqa: S307
    return is_exact


def _plain_types(hint: object) -> list[type] | None:
    """The exact classes a hint allows, or None when that cannot be told from the class alone."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    plain = [kind for kind in kinds if isinstance(kind, type) and (kind in _PLAIN or _is_plain_enum(kind))]
    return plain if len(plain) == len(kinds) else None


def _is_plain_enum(kind: type) -> bool:
    return issubclass(kind, Enum) and all(isinstance(member.value, (str, int)) for member in kind)
