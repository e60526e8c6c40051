"""JSON Schemas of record keys: what the bytes of a declared key are, as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import NoneType
from typing import Any, Final
from uuid import UUID

from tidings.events.payloads.marks import Personal, changes_wire
from tidings.events.payloads.places import ANYTHING, Place, place_of
from tidings.events.payloads.shape import shape_of
from tidings.events.privacy import mark_of
from tidings.events.schemas.fields import Schema

_TEXTS: Final[dict[type, Schema]] = {
    str: {"type": "string"},
    int: {"type": "string", "pattern": "^-?[0-9]+$"},
    UUID: {"type": "string", "format": "uuid"},
    bytes: {"type": "string", "format": "binary"},
    NoneType: {"type": "null"},  # a record without a key
}


def key_schema(cls: type, key: str | Callable[[Any], object]) -> Schema:
    """The schema of the keys of ``cls``; it says nothing where annotations do not tell, or of a function.

    The key of a Personal field has ``x-personal``, and is text where the wire carries something else for it.
    """
    if not isinstance(key, str):
        return {}
    places = [place_of(cls)]
    for step in key.split("."):
        places = [inner for place in places for inner in _inside(place, step)]
    mark = mark_of(cls, key)
    schema = {"type": "string"} if mark is not None and changes_wire(mark) else _text(places)
    return {**schema, "x-personal": True} if isinstance(mark, Personal) else schema


def _text(places: list[Place]) -> Schema:
    kinds = {kind for place in places for kind in place.kinds}
    if not kinds or not kinds <= _TEXTS.keys():
        return {}
    if kinds == {str} and all(place.only for place in places):
        return {"type": "string", "enum": [value for place in places for value in place.only]}
    texts = [dict(text) for kind, text in _TEXTS.items() if kind in kinds]
    return texts[0] if len(texts) == 1 else {"anyOf": texts}


def _inside(place: Place, step: str) -> Iterator[Place]:
    """What a step of the path leads to from a place: a field, a value of a dict, anything."""
    for cls in place.classes:
        shape = shape_of(cls)
        yield from (field.place for field in shape.fields if field.name == step) if shape else ()
    if place.values:
        yield place.values
    if place.is_open:
        yield ANYTHING
