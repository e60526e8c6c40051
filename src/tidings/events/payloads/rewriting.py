"""Rewriting: the JSON values on the wire as their own class reads them."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tidings.events.payloads.marks import ABSENT
from tidings.events.payloads.places import ANYTHING, Place
from tidings.events.payloads.shape import Reach, Shape, shape_of
from tidings.events.payloads.walk import best_fit
from tidings.events.payloads.wiretimes import from_nanoseconds

_INTEGER = re.compile(r"-?\d{1,30}").fullmatch


def is_read_otherwise(found: Reach) -> bool:
    """Whether the wire may have anything in another form than the class itself reads."""
    return found.has(timedelta) or any(field.is_left_out or field.is_renamed for field in found.fields)


def as_read(data: Any, place: Place) -> Any:
    """The JSON values of what stands at a place, with durations as timedeltas and blanks for what is absent.

    A copy where anything changes. What is not as the annotation says stays: reading it then fails.
    """
    if place.own:
        return data
    if (shape := best_fit(data, map(shape_of, place.classes))) is not None:
        return _of_shape(data, shape)
    if isinstance(data, dict) and place.values is not None:
        return {_key(key, place.keys): as_read(value, place.values) for key, value in data.items()}
    if isinstance(data, list) and (place.items is not None or place.fixed):
        return [as_read(each, place.at(index)) for index, each in enumerate(data)]
    return _duration(data, place)


def _of_shape(data: Any, shape: Shape) -> Any:
    if shape.layout == "bare":
        return as_read(data, shape.fields[0].place)
    return _object(data, shape) if shape.layout == "object" else _array(data, shape)


def _object(data: dict[str, Any], shape: Shape) -> dict[str, Any]:
    new = dict(data)
    for field in shape.special:
        name = next((name for name in (field.wire, *field.read_names) if name in new), None)
        if name is not None:
            value = as_read(new.pop(name), field.place)
            new[name if name in field.read_names else field.name] = value
        elif field.is_left_out and field.required and field.place.blank is not ABSENT:
            new[field.read_names[0]] = field.place.blank
    return new


def _array(data: list[Any], shape: Shape) -> list[Any]:
    places = [ANYTHING] * shape.first + [field.place for field in shape.fields]
    return [as_read(each, there) for each, there in zip(data, places, strict=False)] + data[len(places) :]


def _key(key: Any, place: Place | None) -> Any:
    if place is None or timedelta not in place.kinds or not _INTEGER(key):
        return key
    return _duration(int(key), place)


def _duration(data: Any, place: Place) -> Any:
    """Where a duration is to stand, a number counts nanoseconds; unless a number may stand there too."""
    is_number = isinstance(data, (int, float, Decimal)) and not isinstance(data, bool)
    if not is_number or timedelta not in place.kinds or place.kinds & {int, float, Decimal}:
        return data
    try:
        return from_nanoseconds(data)
    except OverflowError:  # left to the class, which takes no number
        return data
