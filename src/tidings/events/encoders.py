"""Typed payloads to JSON: one encoder a class, which also checks that the fields hold what they declare."""

from __future__ import annotations

import keyword
import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from tidings.errors import ConfigError, InvalidEvent
from tidings.events.payloads.care import finisher
from tidings.events.payloads.faults import (
    REFUSALS,
    Encode,
    encode_native,
    refuse_hidden_nan,
    unencodable,
    unreadable,
)
from tidings.events.payloads.markcheck import check_marks
from tidings.events.payloads.masking import masked
from tidings.events.payloads.models import model_encoder
from tidings.events.payloads.places import Place, field_names, is_pydantic, is_typed_dict, place_of
from tidings.events.payloads.shape import reach

_EXACTLY = {
    float: "({test} and isfinite(p.{field}))",
    datetime: "({test} and p.{field}.tzinfo is utc)",
}
"""What more than its class a value must have, to be written as it is."""

_PLAIN = (str, int, float, bool, bytes, datetime, date, UUID, Decimal, NoneType)


class Encoder(msgspec.Struct, frozen=True):
    """How payloads of one kind become JSON.

    ``encode`` gives bytes, or raises InvalidEvent and names the field. Where ``is_exact(payload)`` is true,
    ``encode_native(payload)`` is as good; None means that it never is.
    """

    encode: Encode
    is_exact: Callable[[Any], bool] | None = None


def encoder_for(cls: type) -> Encoder:
    """The encoder of a msgspec.Struct, dataclass, pydantic model or TypedDict class.

    Raises InvalidEvent when the class cannot be encoded as its annotations say.
    """
    try:
        check_marks(cls)
    except ConfigError as error:
        raise InvalidEvent(error.args[0]) from None
    encoder = Encoder(model_encoder(cls)) if is_pydantic(cls) else _native_encoder(cls)
    found = reach(cls)
    if not (found.has_marks or found.is_open):
        return encoder
    return Encoder(_veiled(encoder.encode, place_of(cls)), None if found.has_marks else encoder.is_exact)


def _veiled(encode: Encode, place: Place) -> Encode:
    """For a class that may hold marks: an error shows no marked value."""

    def encode_veiled(payload: Any) -> bytes:
        try:
            return encode(payload)
        except InvalidEvent as error:
            refusal = InvalidEvent(masked(str(error.args[0]), payload, place))
        raise refusal

    return encode_veiled


def _native_encoder(cls: type) -> Encoder:
    """For structs and dataclasses, which check nothing when they are made.

    Where every field is plain, a generated test of exact types vouches for the event (0.07 µs for eight
    fields); otherwise, and where it says no, the bytes are decoded as the class again (0.2 µs), which
    finds everything and names the path.
    """
    place, hide, finish = place_of(cls), reach(cls).has_marks, finisher(cls)
    try:
        read_back: Callable[[bytes], object] = msgspec.json.Decoder(cls).decode
        is_exact = None if is_typed_dict(cls) else _exact_type_test(cls)
    except (TypeError, ValueError, NameError) as error:  # an annotation that means nothing here, or no JSON
        raise InvalidEvent(f"the fields of {cls.__qualname__} cannot be checked: {error}") from None

    def encode(payload: Any) -> bytes:
        try:
            data = encode_native(payload)
        except REFUSALS as error:
            refusal = unencodable(payload, error, place, hide=hide)
        else:
            return data if is_exact is not None and is_exact(payload) else checked(payload, data)
        raise refusal  # here, so that the encoder's error is not behind it: it may hold values

    def checked(payload: Any, data: bytes) -> bytes:
        refuse_hidden_nan(payload, data, place)
        try:
            read_back(data)
        except (msgspec.DecodeError, *REFUSALS) as error:
            refusal = InvalidEvent(f"{cls.__qualname__}: {unreadable(error, hide=hide)}")
        else:
            return data if finish is None else finish(payload, data)
        raise refusal

    return Encoder(encode, is_exact)


def _exact_type_test(cls: type) -> Callable[[Any], bool] | None:
    """A function that is True only for an instance whose every field surely holds its declared type.

    None where classes alone cannot tell: containers, constraints, literals.
    """
    hints = get_type_hints(cls, include_extras=True)
    tests: list[str] = []
    names: dict[str, object] = {"isfinite": math.isfinite, "utc": UTC}
    for field in field_names(cls) or ():
        allowed = _plain_types(hints.get(field))
        if allowed is None or keyword.iskeyword(field):
            return None
        options = []
        for kind in allowed:
            name = f"kind{len(names)}"
            names[name] = kind
            test = f"p.{field}.__class__ is {name}"
            options.append(_EXACTLY.get(kind, "{test}").format(test=test, field=field))
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
