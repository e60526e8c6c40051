"""Reprs that show no marked value, for structs, dataclasses and pydantic models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from reprlib import recursive_repr
from typing import Any, TypeVar

from tidings.events.payloads.marks import MASK
from tidings.events.payloads.places import ANYTHING, Place
from tidings.events.payloads.shape import Shape, reach
from tidings.events.payloads.walk import extras_of, marked_parts, parts, shape_at, value_of

C = TypeVar("C", bound=type)


def hide_in_repr(cls: C) -> C:
    """Give a class with marks a repr that shows ``***`` for what is marked, in values inside too.

    ``str``, ``rich`` and pydantic's printers show the same, and a ``__repr__`` of the user's is replaced.
    A class without marks stays as it is. Returns the class, so that it may be used as a decorator.
    """
    found = reach(cls)
    if found.has_marks or found.is_unfinished:  # what is not defined yet may have marks
        for name in ("__repr__", "__str__"):
            setattr(cls, name, _repr)
        for name in ("__rich_repr__", "__repr_args__"):
            setattr(cls, name, _arguments)
    return cls


@recursive_repr("...")
def _repr(self: object) -> str:
    return _of_fields(self, ANYTHING, ())


def _arguments(self: object) -> Iterator[tuple[str, object]]:
    return _fields(self, ANYTHING, ())


class _Shown:
    """What has that text as its repr."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _shown(value: Any, place: Place, under_way: tuple[int, ...]) -> _Shown:
    """A value with ``***`` for what is marked; ``under_way`` are those that it is in, by id."""
    if place.mark is not None:
        return _Shown(repr(value if value is None else MASK))
    if id(value) in under_way:
        return _Shown("...")
    if not any(True for _ in marked_parts(value, place)):
        return _Shown(repr(value))
    return _Shown(_veiled(value, place, (*under_way, id(value))))


def _veiled(value: Any, place: Place, under_way: tuple[int, ...]) -> str:
    if isinstance(value, Mapping):
        shape = shape_at(value, place)
        places = {field.name: field.place for field in shape.fields} if shape else {}
        there = place.values or ANYTHING
        return repr({key: _shown(each, places.get(key, there), under_way) for key, each in value.items()})
    if shape_at(value, place) is not None:
        return _of_fields(value, place, under_way)
    shown = [_shown(each, there, under_way) for _, each, there in parts(value, place) or ()]
    if isinstance(value, (list, tuple)):
        return repr(shown if isinstance(value, list) else tuple(shown))
    return f"{{{', '.join(map(repr, shown))}}}"


def _of_fields(value: object, place: Place, under_way: tuple[int, ...]) -> str:
    arguments = ", ".join(f"{name}={shown!r}" for name, shown in _fields(value, place, under_way))
    return f"{type(value).__name__}({arguments})"


def _fields(value: object, place: Place, under_way: tuple[int, ...]) -> Iterator[tuple[str, object]]:
    shape = shape_at(value, place) or Shape(fields=())
    under_way = (*under_way, id(value))
    for field in shape.fields:
        if field.shown:
            yield field.name, _shown(value_of(value, field.name), field.place, under_way)
    for name, extra in extras_of(value, shape).items():
        yield name, _shown(extra, ANYTHING, under_way)
