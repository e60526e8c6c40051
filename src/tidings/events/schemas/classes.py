"""JSON Schemas: what the data of a declared class looks like on the wire."""

from __future__ import annotations

import math
from collections.abc import Callable
from inspect import cleandoc
from typing import Any, Final

import msgspec
from msgspec import inspect

from tidings.errors import ConfigError
from tidings.events.payloads.places import is_pydantic
from tidings.events.payloads.shape import shape_of
from tidings.events.schemas.fields import Schema, correct, default_on_wire

REF: Final = "#/components/schemas/"

_BY_NAME: Final = ("properties", "patternProperties")
_LISTED: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_NESTED: Final = ("items", "additionalProperties", "propertyNames")


def schema_of(cls: type) -> tuple[Schema, dict[str, Schema]]:
    """The schema of a declared class, and by name those it refers to (as ``#/components/schemas/NAME``).

    JSON Schema draft-07, which AsyncAPI's own schemas extend. Descriptions are the docstrings. Raises
    ConfigError, naming the class, where a field is of a type that has no schema.
    """
    try:
        if is_pydantic(cls):
            from tidings.events.schemas.models import model_schema  # noqa: PLC0415 - only for models

            root, known = model_schema(cls)
        else:
            root, known = _native_schema(cls)
    # RuntimeError is pydantic's, KeyError msgspec's.
    except (TypeError, ValueError, NameError, KeyError, RuntimeError) as error:
        why = f"it holds two classes of one name, {error}" if isinstance(error, KeyError) else error
        name = f"{cls.__module__}.{cls.__qualname__}"
        raise ConfigError(f"{name}: no JSON Schema can be made of it: {why}") from None
    return changed(root, _draft_07), {name: changed(schema, _draft_07) for name, schema in known.items()}


def changed(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    """``schema`` with ``change`` made to every schema in it, the innermost first."""
    if not isinstance(schema, dict):  # true and false are schemas
        return schema
    result = dict(schema)
    for keyword, value in schema.items():
        if keyword in _BY_NAME:
            result[keyword] = {name: changed(inner, change) for name, inner in value.items()}
        elif keyword in _LISTED or (keyword == "items" and isinstance(value, list)):
            result[keyword] = [changed(inner, change) for inner in value]
        elif keyword in _NESTED:
            result[keyword] = changed(value, change)
    return change(result)


def _draft_07(schema: Schema) -> Schema:
    """From draft 2020-12, which msgspec and pydantic write, to draft-07."""
    if "description" in schema:
        schema["description"] = cleandoc(schema["description"])
    schema.pop("discriminator", None)  # OpenAPI's; the tags themselves say as much
    if "prefixItems" in schema:
        schema["items"] = schema.pop("prefixItems")  # instead of a false, which only repeated maxItems
    for keyword in ("items", "additionalProperties"):
        if "properties" not in schema and schema.get(keyword) in ({}, True):
            del schema[keyword]  # which says nothing
    if isinstance(default := schema.get("default"), float) and not math.isfinite(default):
        del schema["default"]  # JSON has no such number
    if "$ref" in schema and len(schema) > 1:  # draft-07 ignores what stands beside a $ref
        schema = {"allOf": [{"$ref": schema.pop("$ref")}], **schema}
    return schema


def _native_schema(cls: type) -> tuple[Schema, dict[str, Schema]]:
    """Of a msgspec.Struct, dataclass or TypedDict."""
    classes = _classes_within(cls)
    roots, known = msgspec.json.schema_components(classes, ref_template=REF + "{name}")
    for each, root in zip(classes, roots, strict=True):
        schema, shape = known[root["$ref"].removeprefix(REF)], shape_of(each)
        _correct_defaults(schema, each)
        if shape is not None:
            correct(schema, shape)
    return roots[0], known


def _classes_within(cls: Any) -> list[Any]:
    """The class and all that its fields may hold, at any depth."""
    found: dict[Any, None] = {}
    todo = [cls]
    while todo:
        if (each := todo.pop()) not in found and (shape := shape_of(each)) is not None:
            found[each] = None
            todo += [
                inner for field in shape.fields for place in field.place.within() for inner in place.classes
            ]
    return list(found)


def _correct_defaults(schema: Schema, cls: Any) -> None:
    fields = inspect.type_info(cls).fields  # type: ignore[attr-defined]
    array = schema.get("prefixItems", [])
    for position, field in enumerate(fields, len(array) - len(fields)):  # an array may begin with a tag
        if field.default is not msgspec.NODEFAULT:
            written = array[position] if array else schema["properties"][field.encode_name]
            written["default"] = default_on_wire(field.default, _as_json)


def _as_json(value: object) -> object:
    return msgspec.to_builtins(value, str_keys=True)
