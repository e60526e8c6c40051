"""Checking marks: a class whose marks cannot be obeyed, or whose readers could not read it, is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_origin

import msgspec

from tidings.errors import ConfigError
from tidings.events.payloads.marks import ABSENT, Mark, Personal, changes_wire, leaves_out
from tidings.events.payloads.places import Place, is_pydantic
from tidings.events.payloads.shape import Field, Shape, reach, shape_of

_CHOOSE = "mark the whole, or leave the serializer out"
_BLANK = "its type may be str, bytes or optional"


def check_marks(cls: type) -> None:
    """Raise ConfigError, naming class and field, where the marks of a class or of one inside cannot stand.

    Names in annotations that are not defined yet are passed over; encoding checks again.
    """
    found = reach(cls)
    if not found.has_marks:
        return
    faults = [fault for each in found.classes for fault in _faults(each)]
    if faults:
        raise ConfigError("; ".join(faults))


def _faults(hint: Any) -> Iterator[str]:
    cls = get_origin(hint) or hint
    shape = shape_of(hint) or Shape(fields=())
    if shape.own and reach(hint).changes_wire:
        yield f"{cls.__qualname__} has marked fields and a model_serializer, which may show them: {_CHOOSE}"
    for field in shape.fields:
        if field.place.own and field.place.mark is None and _changes_wire(field.place):
            yield f"{field.label} holds marked fields and has a serializer, which may show them: {_CHOOSE}"
        if field.is_left_out and (field.required or shape.layout != "object"):
            if not _reads(cls, field, field.place.blank):
                yield f"{field.label} goes not on the wire: {_BLANK}, or give it a default"
        elif _makes(field.place.mark, "hash") and not _reads(cls, field, "0" * 64):
            yield f"{field.label} goes on the wire as a SHA-256 in hex, which its type does not take"
        for place in field.place.within():
            yield from (f"{field.label} {fault}" for fault in _place_faults(place))


def _place_faults(place: Place) -> Iterator[str]:
    if (_makes(place.mark, "hash") or _makes(place.mark, "last4")) and not place.is_text:
        yield "is not a str: only of text can the wire have a hash or the last 4"
    if place.keys is not None and any(each.mark for each in place.keys.within()):
        yield "has marked keys, which stay readable: mark the whole mapping"
    if any(leaves_out(each.mark) and each.blank is ABSENT for each in place.fixed):
        yield "has a position that goes not on the wire: {_BLANK}"


def _changes_wire(place: Place) -> bool:
    return any(
        (inner.mark and changes_wire(inner.mark)) or any(reach(cls).changes_wire for cls in inner.classes)
        for inner in place.within()
    )


def _makes(mark: Mark | None, what: str) -> bool:
    return isinstance(mark, Personal) and mark.on_wire == what


def _reads(cls: Any, field: Field, data: object) -> bool:
    """Whether a field takes this from the wire. True where its type cannot be asked without its class."""
    if data is ABSENT:
        return False
    try:
        if is_pydantic(cls):
            from pydantic import TypeAdapter  # noqa: PLC0415 - only where models are used

            TypeAdapter(field.hint).validate_python(data)
        else:
            msgspec.convert(data, field.hint)
    except (msgspec.ValidationError, ValueError):
        return False
    except Exception:
        return True
    return True
