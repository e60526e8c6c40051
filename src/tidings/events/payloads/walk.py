"""Walking payloads: the parts of a value, each by its name and with what its annotation says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_origin

from tidings.events.payloads.places import ANYTHING, Place, is_typed_dict
from tidings.events.payloads.shape import Shape, shape_of

Part = tuple[str, Any, Place]
"""A step of a path (``.price``, ``[3]``), what stands there, and its place."""


def parts(value: Any, place: Place) -> Iterable[Part] | None:
    """The named parts of a value, or None when it has none."""
    if (shape := shape_at(value, place)) is not None:
        return _fields(value, shape)
    if isinstance(value, Mapping):
        inner = place.values or ANYTHING
        return ((step(key), each, inner) for key, each in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ((f"[{index}]", each, place.at(index)) for index, each in enumerate(value))
    return None


def marked_parts(value: object, place: Place) -> Iterator[tuple[object, Place]]:
    """What is marked in a value, at any depth. Walks without recursion, and each container once."""
    todo = [(value, place)]
    seen: set[tuple[int, Place]] = set()  # a value may contain itself
    while todo:
        value, place = todo.pop()
        if place.mark is not None:
            yield value, place
        if (inner := parts(value, place)) is not None and (id(value), place) not in seen:
            seen.add((id(value), place))
            todo += [(each, there) for _, each, there in inner]


def shape_at(value: object, place: Place) -> Shape | None:
    """The shape of a value: that of its class, or of the TypedDict that its annotation means."""
    cls = type(value)
    if cls is dict:
        shapes = [shape_of(hint) for hint in place.classes if is_typed_dict(get_origin(hint) or hint)]
        return best_fit(value, shapes)
    for hint in place.classes:
        if get_origin(hint) is cls:  # a generic class, with its arguments
            return shape_of(hint)
    return shape_of(cls)


def best_fit(data: object, shapes: Iterable[Shape | None]) -> Shape | None:
    """Of the shapes in a union the first that JSON data has, or else the first it may be meant to have."""
    meant = [shape for shape in shapes if shape is not None and _has_layout(data, shape)]
    return next((shape for shape in meant if _fits(data, shape)), meant[0] if meant else None)


def value_of(owner: Any, name: str) -> Any:
    """The value of a field; None where it is not set."""
    return owner.get(name) if isinstance(owner, dict) else getattr(owner, name, None)


def extras_of(owner: object, shape: Shape) -> Mapping[str, Any]:
    """What a dict or a pydantic model holds beside the fields it declares."""
    if isinstance(owner, dict):
        names = {field.name for field in shape.fields}
        return {key: value for key, value in owner.items() if key not in names}
    return getattr(owner, "__pydantic_extra__", None) or {}


def step(key: object) -> str:
    """How a path names what stands under a key."""
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"


def _fields(value: object, shape: Shape) -> Iterator[Part]:
    for field in shape.fields:
        yield f".{field.name}", value_of(value, field.name), field.place
    for name, extra in extras_of(value, shape).items():
        yield step(name), extra, ANYTHING


def _has_layout(data: object, shape: Shape) -> bool:
    if shape.layout == "bare":
        return True
    return isinstance(data, Mapping if shape.layout == "object" else (list, tuple))


def _fits(data: Any, shape: Shape) -> bool:
    if shape.layout != "object":
        return True
    if shape.tag is not None and data.get(shape.tag[0], shape.tag[1]) != shape.tag[1]:
        return False
    for field in shape.fields:
        if field.wire not in data:
            if field.required and not field.is_left_out:
                return False
        elif field.place.only and data[field.wire] not in field.place.only:
            return False
    return True
