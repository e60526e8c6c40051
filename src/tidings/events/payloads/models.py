"""Pydantic models to JSON: they write themselves, then times and marks are set right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from tidings.errors import InvalidEvent
from tidings.events.payloads.care import finisher
from tidings.events.payloads.faults import REFUSALS, Encode, refuse_hidden_nan, unencodable
from tidings.events.payloads.places import ANYTHING, is_pydantic, plain_value
from tidings.events.payloads.shape import reach
from tidings.events.payloads.walk import marked_parts, parts
from tidings.events.payloads.wiretimes import may_hold_odd_times

Modes = tuple[dict[str, Any], ...]
"""Arguments of pydantic's own serialization: the ways in which a model may write times."""


def model_encoder(cls: Any) -> Encode:
    """For pydantic v2 models: validated when made; one made with model_construct is caught here."""
    from pydantic_core import PydanticSerializationError  # noqa: PLC0415 - only where models are used

    fields, never_none = frozenset(cls.model_fields), _never_none(cls)
    finish = finisher(cls, model_tree, sees_times=len(_modes(cls)) == 1)
    # By its configuration a model writes NaN as null, as the word NaN, which is no JSON, or as a string.
    how: object = cls.model_config.get("ser_json_inf_nan", "null")

    def not_finite(data: bytes) -> bool:
        return b"null" in data if how == "null" else how == "constants" and (b"NaN" in data or b"Inf" in data)

    def encode(payload: Any) -> bytes:
        try:
            data: bytes = payload.model_dump_json(warnings="error").encode()
        except PydanticSerializationError as error:
            refusal = InvalidEvent(f"{cls.__qualname__}: {_fault(payload, error)}")
        except REFUSALS as error:
            refusal = unencodable(payload, error)
        else:
            return checked(payload, data)
        raise refusal  # here, so that pydantic's error is not behind it: it may hold values

    def checked(payload: Any, data: bytes) -> bytes:
        values = payload.__dict__
        if not fields <= values.keys():
            raise InvalidEvent(
                f"{cls.__qualname__}: no value for {', '.join(sorted(fields - values.keys()))}"
            )
        if b"null" in data and (wrong := [name for name in never_none if values[name] is None]):
            raise InvalidEvent(f"{cls.__qualname__}: None is no value for {', '.join(wrong)}")
        if not_finite(data):
            refuse_hidden_nan(payload.model_dump(warnings=False), b"null")
        return data if finish is None else finish(payload, data)

    return encode


def model_tree(model: Any, data: bytes) -> Any:
    """The JSON values of a model, from its JSON, with times as datetimes and timedeltas."""
    cls: Any = type(model)
    tree, modes = msgspec.json.decode(data), _modes(cls)
    if len(modes) > 1 or may_hold_odd_times(data):
        return _with_times(model.model_dump(warnings=False), tree, modes)
    return tree


def _never_none(cls: Any) -> list[str]:
    """The fields of a model that may not be None: pydantic writes a None without looking."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - only where models are used
    from pydantic.errors import PydanticUserError  # noqa: PLC0415

    found = []
    for name, field in cls.model_fields.items():
        try:
            TypeAdapter(field.annotation).validate_python(None)
        except ValidationError:
            found.append(name)
        except (PydanticUserError, NameError, TypeError):  # a type that only the model itself can build
            continue
    return found


def _fault(payload: Any, error: BaseException) -> str:
    """Why a model could not be written, by path and types: pydantic's own words may show values."""
    try:
        path, value, hint = _culprit(payload, "$", set())
    except RecursionError:
        path, value, hint = "$", payload, type(payload)
    if str(error).startswith("Pydantic serializer warnings"):
        declared = hint.__qualname__ if isinstance(hint, type) else str(hint)
        return f"{path} is of type {type(value).__qualname__}, not {declared}"
    if any(True for _ in marked_parts(payload, ANYTHING)):
        return f"{path} cannot be written as JSON"
    return f"{path} cannot be written as JSON: {error}"


def _culprit(model: Any, path: str, seen: set[int]) -> tuple[str, Any, Any]:
    """The path, value and annotation of the first field that cannot be written, in the innermost model."""
    seen.add(id(model))
    cls = type(model)
    for name, field in cls.model_fields.items():
        if name not in model.__dict__ or not (cls.__pydantic_root_model__ or _fails(model, name)):
            continue
        value = model.__dict__[name]
        for inner_path, inner in _models_in(value, f"{path}.{name}"):
            if id(inner) not in seen and _fails(inner):
                return _culprit(inner, inner_path, seen)
        return f"{path}.{name}", value, field.annotation
    return path, model, cls


def _fails(model: Any, name: str | None = None) -> bool:
    try:
        model.model_dump_json(warnings="error", include=None if name is None else {name})
    except REFUSALS:
        return True
    return False


def _models_in(value: object, path: str) -> Iterator[tuple[str, Any]]:
    """The models in a value, with their paths, and without those inside of them."""
    todo, seen = [(path, value)], set[int]()
    while todo:
        path, value = todo.pop(0)
        if is_pydantic(type(value)):
            yield path, value
        elif id(value) not in seen and (inner := parts(value, ANYTHING)) is not None:
            seen.add(id(value))
            todo += [(path + name, each) for name, each, _ in inner]


@lru_cache(maxsize=4096)
def _modes(cls: Any) -> Modes:
    """How a model, or one inside, may be configured to write its times: as texts, if nothing is said."""
    modes: dict[str, dict[str, Any]] = {"": {}}
    for config in (each.model_config for each in reach(cls).classes if hasattr(each, "model_config")):
        if mode := config.get("ser_json_temporal"):
            modes[mode] = {"temporal_mode": mode}
        elif mode := config.get("ser_json_timedelta"):
            modes[mode] = {"timedelta_mode": mode}
    return tuple(modes.values())


def _with_times(dumped: Any, tree: Any, modes: Modes) -> Any:
    """``tree`` with the times of ``dumped``: those that it has as pydantic writes them, not as a user does.

    A serializer of the user's has changed them in ``dumped`` too, or has given them another form in ``tree``.
    """
    if isinstance(dumped, dict) and isinstance(tree, dict) and len(dumped) == len(tree):
        pairs = zip(dumped.items(), tree.items(), strict=True)
        return {
            _time(key, name, modes): _with_times(value, inner, modes) for (key, value), (name, inner) in pairs
        }
    if isinstance(tree, list) and isinstance(dumped, (list, tuple)) and len(dumped) == len(tree):
        return [_with_times(value, each, modes) for value, each in zip(dumped, tree, strict=True)]
    if isinstance(tree, list) and isinstance(dumped, (set, frozenset)):  # in an order of its own
        return [
            next((new for old in dumped if (new := _time(old, each, modes)) is not each), each)
            for each in tree
        ]
    return _time(dumped, tree, modes)


def _time(value: Any, written: Any, modes: Modes) -> Any:
    """``value`` where it is a time and ``written`` is what pydantic makes of it, else ``written``."""
    value = plain_value(value)
    if not isinstance(value, (datetime, timedelta)):
        return written
    from pydantic_core import to_jsonable_python  # noqa: PLC0415 - only where models are used

    for mode in modes:  # as a key and as a value
        if written in [form for pair in to_jsonable_python({value: value}, **mode).items() for form in pair]:
            return _exactly(value)
    return written


def _exactly(value: datetime | timedelta) -> datetime | timedelta:
    """The same as an instance of the class itself: libraries that freeze time have subclasses."""
    if isinstance(value, timedelta):
        return timedelta(value.days, value.seconds, value.microseconds)
    return datetime.combine(value.date(), value.timetz())
