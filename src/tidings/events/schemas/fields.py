"""JSON Schemas of fields as the wire has them: durations are nanoseconds, marks are obeyed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from types import NoneType
from typing import Any, Final

from tidings.events.payloads.marks import ABSENT, Personal, leaves_out
from tidings.events.payloads.places import Place
from tidings.events.payloads.shape import Shape
from tidings.events.payloads.wiretimes import to_nanoseconds

Schema = dict[str, Any]

DURATION: Final[Schema] = {"type": "integer", "format": "nanoseconds"}
"""What a timedelta is on the wire; the format's name is tidings' own."""


def correct(schema: Schema, shape: Shape) -> None:
    """Make the schema of a class, as msgspec or pydantic wrote it, say what is on the wire; in place.

    Fields that are left out are not in it; what is personal has ``x-personal``.
    """
    if shape.layout == "bare":
        whole = _in_position(dict(schema), shape.fields[0].place)
        schema.clear()
        schema.update(whole)
    elif shape.layout == "array":
        for position, field in enumerate(shape.fields, shape.first):
            schema["prefixItems"][position] = _in_position(schema["prefixItems"][position], field.place)
    else:
        properties = schema.get("properties", {})
        for field in shape.fields:
            if field.wire in properties and field.is_left_out:
                del properties[field.wire]
                schema["required"] = [name for name in schema.get("required", ()) if name != field.wire]
            elif field.wire in properties:
                properties[field.wire] = _on_wire(properties[field.wire], field.place)


def default_on_wire(value: object, leaf: Callable[[Any], Any]) -> Any:
    """A field's default as JSON has it; ``leaf`` writes what is not of special concern here."""
    if isinstance(value, timedelta):
        return to_nanoseconds(value)
    if isinstance(value, (list, tuple)):
        return [default_on_wire(inner, leaf) for inner in value]
    if isinstance(value, (set, frozenset)):  # sorted: their order is another in each process
        return sorted((default_on_wire(inner, leaf) for inner in value), key=repr)
    return leaf(value)


def _on_wire(schema: Any, place: Place) -> Any:
    """The schema of what the wire has at a place; False where it has nothing."""
    if leaves_out(place.mark):
        return False
    if schema is True:
        schema = {}
    if not isinstance(place.mark, Personal):
        return _inside(schema, place)
    if place.mark.on_wire is None:
        return {**_inside(schema, place), "x-personal": True}
    said = {name: schema[name] for name in ("title", "description") if name in schema}
    return {**said, "type": ["string", "null"] if NoneType in place.kinds else "string", "x-personal": True}


def _inside(schema: Schema, place: Place) -> Schema:
    """The schema with its alternatives, or what it holds, corrected."""
    schema = dict(schema)
    kind = schema.get("type")
    if "anyOf" in schema:
        schema["anyOf"] = [_inside(option, place) for option in schema["anyOf"]]
    elif kind == "string" and not place.own:
        _correct_time(schema, place)
    elif kind == "array" and place.fixed and "prefixItems" in schema:
        pairs = zip(schema["prefixItems"], place.fixed, strict=False)
        schema["prefixItems"] = [_in_position(inner, there) for inner, there in pairs]
    elif kind == "array" and place.items and (schema.get("items") or place.items.mark):
        schema["items"] = _on_wire(schema.get("items", {}), place.items)
    elif kind == "object" and place.values and (schema.get("additionalProperties") or place.values.mark):
        schema["additionalProperties"] = _on_wire(schema.get("additionalProperties", {}), place.values)
    return schema


def _correct_time(schema: Schema, place: Place) -> None:
    """Of a union's alternatives one at most is text for msgspec: where a time may stand, it is that."""
    if timedelta in place.kinds and schema.get("format") == "duration":
        schema.update(DURATION)
    elif datetime in place.kinds:
        schema.setdefault("format", "date-time")  # msgspec says so only where a time zone is demanded


def _in_position(schema: Schema, place: Place) -> Any:
    """The same where a value cannot be left out: its blank stands there."""
    corrected = _on_wire(schema, place)
    if corrected is not False:
        return corrected
    return {"const": None if place.blank is ABSENT else place.blank}
