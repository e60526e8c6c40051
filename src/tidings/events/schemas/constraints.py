"""Constraints of two schemas of one type: which of the reader's the writer does not keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tidings.events.schemas.fields import Schema

_SAME: Final = (
    "format",
    "contentEncoding",
    "pattern",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "dependencies",
)
"""Understood only as the same or not the same."""

_LEAST: Final = ("minimum", "minLength", "minItems", "minProperties")
_MOST: Final = ("maximum", "maxLength", "maxItems", "maxProperties")


def unkept(reader: Schema, writer: Schema) -> Iterator[tuple[str, object, object]]:
    """The keywords by which ``reader`` may refuse what ``writer`` allows, with the value of either.

    None stands for a keyword that a schema does not have.
    """
    for keyword in _SAME:
        if keyword in reader and reader[keyword] != writer.get(keyword):
            yield keyword, reader[keyword], writer.get(keyword)
    for keywords, sign in ((_LEAST, 1), (_MOST, -1)):
        for keyword in keywords:
            wanted, kept = _bound(reader, keyword, sign), _bound(writer, keyword, sign)
            if wanted is not None and (kept is None or kept < wanted):
                yield keyword, _shown(wanted, sign), _shown(kept, sign)
    step = reader.get("multipleOf")
    if step is not None and ("multipleOf" not in writer or writer["multipleOf"] % step):
        yield "multipleOf", step, writer.get("multipleOf")
    if reader.get("uniqueItems") and not writer.get("uniqueItems"):
        yield "uniqueItems", True, writer.get("uniqueItems")


def _bound(schema: Schema, keyword: str, sign: int) -> tuple[Any, bool] | None:
    """A bound as a pair that is the greater the stricter it is: of the number, and of excluding it."""
    bounds = []
    if (value := schema.get(keyword)) is not None:
        bounds.append((sign * value, False))
    if (value := schema.get(f"exclusive{keyword.capitalize()}")) is not None:
        whole = schema.get("type") == "integer" and value == int(value)
        bounds.append((sign * int(value) + 1, False) if whole else (sign * value, True))
    return max(bounds, default=None)


def _shown(bound: tuple[Any, bool] | None, sign: int) -> object:
    if bound is None:
        return None
    number, excluded = bound
    return f"{sign * number} (excluded)" if excluded else sign * number
