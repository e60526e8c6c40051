"""Privacy: fields marked Secret or Personal, and what people may read of the events that have them.

Put ``Annotated[str, Personal]`` or ``Annotated[str, Secret]`` on a field; the encoders obey. What is here is
for everything else that people read: audits, failure reasons, reprs.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import reduce
from typing import Any

import msgspec

from tidings.errors import InvalidEvent
from tidings.events.payloads.editing import for_people
from tidings.events.payloads.faults import REFUSALS
from tidings.events.payloads.markcheck import check_marks
from tidings.events.payloads.marks import (
    ABSENT,
    MASK,
    Mark,
    Personal,
    Secret,
    changes_wire,
    on_wire,
    stronger,
)
from tidings.events.payloads.masking import masked
from tidings.events.payloads.models import model_tree
from tidings.events.payloads.places import ANYTHING, is_pydantic, place_of
from tidings.events.payloads.reprs import hide_in_repr
from tidings.events.payloads.shape import reach, shape_of
from tidings.events.payloads.wiretimes import with_wire_times

__all__ = [
    "Personal",
    "Secret",
    "check_marks",
    "has_marks",
    "hide_in_repr",
    "mark_of",
    "mask",
    "masked_text",
    "value_on_wire",
]


def has_marks(cls: type) -> bool:
    """True where a field of the class, or of a class inside, is Secret or Personal. Any thread."""
    return reach(cls).has_marks


def mark_of(cls: type, path: str) -> Mark | None:
    """What the field at a dotted path is marked as, or what a field on the way to it is; else None.

    Names that lead nowhere, and annotations that are not defined yet, are not marked. Any thread.
    """
    places, mark = [place_of(cls)], None
    for name in path.split("."):
        shapes = [shape_of(each) for place in places for each in place.classes]
        places = [field.place for shape in shapes if shape for field in shape.fields if field.name == name]
        mark = reduce(stronger, (place.mark for place in places), mark)
    return mark


def value_on_wire(mark: Mark | None, value: object) -> object:
    """What the wire carries for a value marked like that: for a key that is a field with ``on_wire``.

    None where it carries nothing. Raises InvalidEvent, which does not show the value, where a function given
    as ``on_wire`` fails.
    """
    if mark is None or not changes_wire(mark):
        return value
    try:
        new = on_wire(mark, msgspec.to_builtins(value, builtin_types=(datetime, timedelta)))
    except Exception as error:  # of a user's function
        fault = (
            f"what is to go on the wire for a {type(value).__qualname__} raised {type(error).__qualname__}"
        )
    else:
        return None if new is ABSENT else new
    raise InvalidEvent(fault)


def mask(payload: object, cls: type | None = None) -> Any:
    """A payload as JSON values with ``***`` for what is Secret or Personal, for audits and reprs.

    ``cls`` is the TypedDict that a dict is. None stays None. What has no JSON form is shown as the name of
    its type in angle brackets; this raises nothing. Any thread.
    """
    place = ANYTHING if cls is None else place_of(cls)
    try:
        shown = for_people(payload, _tree(payload), place)
        return msgspec.to_builtins(with_wire_times(shown, need_zones=False))
    except InvalidEvent:  # the marks in it cannot be told from the rest
        return MASK
    except REFUSALS:
        return _name(payload)


def masked_text(text: str, payload: object, cls: type | None = None) -> str:
    """``text`` with ``***`` wherever it repeats what the payload holds in marked fields: reasons, errors.

    ``cls`` is the TypedDict that a dict is. Values of fewer than three characters stay: they would be found
    in every text. Any thread.
    """
    return masked(text, payload, ANYTHING if cls is None else place_of(cls))


def _tree(payload: Any) -> Any:
    if is_pydantic(type(payload)):
        return model_tree(payload, payload.model_dump_json(warnings=False, fallback=_name).encode())
    return msgspec.to_builtins(payload, builtin_types=(datetime, timedelta), enc_hook=_name)


def _name(value: object) -> str:
    return f"<{type(value).__qualname__}>"
