"""Schemas taken apart: the alternatives a value has, each of one JSON type and without references."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tidings.errors import DocumentError
from tidings.events.schemas.documents import Document
from tidings.events.schemas.fields import Schema

_COMBINING: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
_MOST_SHOWN: Final = 8


def resolve(reference: str, document: Document) -> Any:
    """What a reference such as ``#/components/schemas/Order`` stands for. Raises DocumentError."""
    found: Any = document
    try:
        for step in reference.removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
    except (KeyError, TypeError):
        raise DocumentError(f"The document has no {reference}, which it refers to.") from None
    return found


def alternatives(schema: Any, document: Document, seen: frozenset[str] = frozenset()) -> list[Schema]:
    """The alternatives of ``schema``; none of them is a union, a list of types or a reference.

    Without a ``type``, one stands for any value. ``seen`` are references that are being resolved. Raises
    DocumentError for what is no schema.
    """
    if isinstance(schema, bool):
        return [{}] if schema else []
    if not isinstance(schema, dict):
        raise DocumentError(f"The document has {schema!r} where a schema belongs.")
    found = _by_type({keyword: value for keyword, value in schema.items() if keyword not in _COMBINING})
    for part in _parts(schema, document, seen):
        found = [{**said, **option} for said in found for option in part]
    return found


def _parts(schema: Schema, document: Document, seen: frozenset[str]) -> Iterator[list[Schema]]:
    """What a value has to be as well: of each part, one of the alternatives."""
    if (reference := schema.get("$ref")) is not None:
        if reference in seen:  # a union that is its own member: that adds nothing to it
            yield []
        else:
            yield alternatives(resolve(reference, document), document, seen | {reference})
    for inner in schema.get("allOf", ()):
        yield alternatives(inner, document, seen)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            yield [option for inner in schema[keyword] for option in alternatives(inner, document, seen)]


def _by_type(schema: Schema) -> list[Schema]:
    """One schema for each of the types that it allows."""
    kinds = schema.get("type")
    allowed = [kinds] if isinstance(kinds, str) else kinds
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
        del schema["const"]
    if "enum" not in schema:
        return [schema] if allowed is None else [{**schema, "type": kind} for kind in allowed]
    values: dict[str, list[Any]] = {}
    for value in schema["enum"]:
        values.setdefault(_type_of(value), []).append(value)
    return [
        {"type": kind} if kind == "null" else {**schema, "type": kind, "enum": values[kind]}
        for kind in values
        if allowed is None or kind in allowed
    ]


def _type_of(value: object) -> str:
    if value is None:
        return "null"
    kinds = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "object")


def describe(options: list[Schema]) -> str:
    """The alternatives in a few words, such as ``integer | null``."""
    return " | ".join(dict.fromkeys(_words(option) for option in options)) or "nothing"


def _words(schema: Schema) -> str:
    if "enum" in schema:
        values = schema["enum"]
        more = ", …" if len(values) > _MOST_SHOWN else ""
        return "one of " + ", ".join(map(repr, values[:_MOST_SHOWN])) + more
    kind: str = schema.get("type", "anything")
    if kind == "object":
        return str(schema.get("title", "object")) if "properties" in schema else "map"
    if kind == "array":
        return "list"
    return f"{kind} ({schema['format']})" if "format" in schema else kind
