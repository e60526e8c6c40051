"""Fields: what a declared class consists of, and whether a dotted path leads anywhere in it."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from tidings.events.codec import field_names


def declared_fields(cls: type) -> tuple[str, ...] | None:
    """The fields of a msgspec.Struct, pydantic model, dataclass or TypedDict; None for any other class."""
    return tuple(cls.__annotations__) if is_typeddict(cls) else field_names(cls)


def missing_step(cls: type, path: str) -> str | None:
    """What is wrong with a path such as ``customer.id``: the step that surely leads nowhere, in words.

    None where it is right, and where annotations do not tell (``Any``, a dict, a name that is defined
    later): then the first event does.
    """
    at: list[object] = [cls]
    walked = ""
    for step in path.split("."):
        known = [(kind, declared_fields(kind)) for kind in at if isinstance(kind, type)]
        if len(known) < len(at) or any(fields is None for _, fields in known):
            return None
        within = [kind for kind, fields in known if fields and step in fields]
        if not within:
            fields = sorted({name for _, names in known for name in names or ()})
            return f"{step!r} is not one of {walked or 'its'} fields: {', '.join(fields)}"
        at = [kind for owner in within for kind in _kinds(owner, step)]
        walked = f"{walked}.{step}".lstrip(".") + "'s"
    return None


def _kinds(owner: type, field: str) -> list[object]:
    """The classes a field may hold; something that is no class where annotations do not say."""
    try:
        hint = get_type_hints(owner, include_extras=True).get(field, Any)
    except (NameError, TypeError):
        return [None]
    return [kind for kind in _alternatives(hint) if kind is not type(None)]


def _alternatives(hint: object) -> list[object]:
    if get_origin(hint) is Annotated:
        return _alternatives(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [kind for option in get_args(hint) for kind in _alternatives(option)]
    return [hint]
