"""Shapes: the fields of a class, how JSON names them, and what may stand in each."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any, Literal, get_origin

import msgspec

from tidings.events.payloads.hints import Later, hints_of, type_arguments
from tidings.events.payloads.marks import changes_wire, leaves_out
from tidings.events.payloads.places import (
    ANYTHING,
    Place,
    is_named_tuple,
    is_pydantic,
    is_typed_dict,
    place_of,
)


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field: its name in Python and in JSON, its annotation and its place.

    ``read_names`` are the names in JSON under which its class looks for it; ``required`` is true where it has
    no default, ``shown`` where a repr has it, ``label`` names it in messages.
    """

    name: str
    wire: str
    read_names: tuple[str, ...]
    required: bool
    shown: bool = True
    label: str = ""
    hint: Any = Any
    place: Place = ANYTHING

    @property
    def is_renamed(self) -> bool:
        """True where its class would not find it under the name that it has on the wire."""
        return self.wire not in self.read_names

    @property
    def is_left_out(self) -> bool:
        """True where the wire carries nothing of it."""
        return leaves_out(self.place.mark)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How JSON has the payloads of one class.

    ``layout`` is ``object``, ``array`` (fields stand from position ``first`` on) or ``bare`` (its only field
    is all there is). ``tag`` is what tells it from others in a union. ``own`` is true where a pydantic
    serializer of the user's writes it: JSON may have anything then. ``special`` are the fields that tidings
    may have to write or read in its own way.
    """

    fields: tuple[Field, ...]
    special: tuple[Field, ...] = ()
    layout: Literal["object", "array", "bare"] = "object"
    first: int = 0
    tag: tuple[str, object] | None = None
    own: bool = False


def shape_of(hint: Any) -> Shape | None:
    """The shape of a class with fields, or of a generic one with its arguments; None for anything else.

    Names that an annotation uses and that are not defined yet (at a decorator: the classes further down) may
    stand for anything.
    """
    try:
        return _shape(hint)
    except _Unfinished as unfinished:
        return unfinished.shape


class Reach(msgspec.Struct, frozen=True):
    """What may be found in the payloads of a class, at any depth."""

    places: tuple[Place, ...]
    classes: tuple[Any, ...]
    fields: tuple[Field, ...]

    @property
    def has_marks(self) -> bool:
        """True where something is Secret or Personal."""
        return any(place.mark for place in self.places)

    @property
    def changes_wire(self) -> bool:
        """True where the wire has anything but the value itself of what is marked."""
        return any(place.mark and changes_wire(place.mark) for place in self.places)

    @property
    def is_unfinished(self) -> bool:
        """True where an annotation names what is not defined yet."""
        return self.has(Later)

    @property
    def is_open(self) -> bool:
        """True where an instance of any class may be found."""
        return any(place.is_open for place in self.places)

    def has(self, *kinds: type) -> bool:
        """True where one of these may be found."""
        return any(not place.kinds.isdisjoint(kinds) for place in self.places)


def reach(hint: Any) -> Reach:
    """All that may be found in payloads of this class, and in the subclasses known by now of those inside."""
    places = list(place_of(hint).within())
    fields: list[Field] = []
    classes: dict[Any, None] = {}
    todo = [cls for place in places for cls in place.classes]
    while todo:
        cls = todo.pop()
        if cls in classes or (shape := shape_of(cls)) is None:
            continue
        classes[cls] = None
        fields += shape.fields
        within = [place for field in shape.fields for place in field.place.within()]
        places += [*within, *([ANYTHING] if _takes_more(cls) else [])]
        for place in within:
            for each in place.classes:
                todo += [each, *_subclasses(get_origin(each) or each)]
    return Reach(tuple(places), tuple(classes), tuple(fields))


class _Unfinished(Exception):
    """A shape that is not to be kept: not all of its annotations have a meaning yet."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape


@lru_cache(maxsize=4096)
def _shape(hint: Any) -> Shape | None:
    cls = get_origin(hint) or hint
    if not isinstance(cls, type) or (layout := _layout(cls)) is None:
        return None
    hints, finished = hints_of(cls)
    bound = type_arguments(hint)

    def complete(field: Field) -> Field:
        said = hints.get(field.name, Any if finished else Later)
        place = place_of(said, bound)
        if is_pydantic(cls) and _writes_itself(cls, field.name):
            place = msgspec.structs.replace(place, own=True)
        label = f"{cls.__qualname__}.{field.name}"
        return msgspec.structs.replace(field, label=label, hint=said, place=place)

    fields = tuple(map(complete, layout.fields))
    special = tuple(field for field in fields if field.is_renamed or not field.place.is_plain)
    shape = msgspec.structs.replace(layout, fields=fields, special=special)
    if not finished:
        raise _Unfinished(shape)
    return shape


def _layout(cls: Any) -> Shape | None:
    """The shape of a class, with fields that still lack their places."""
    if issubclass(cls, msgspec.Struct):
        return _struct(cls)
    if dataclasses.is_dataclass(cls):
        return Shape(fields=tuple(map(_dataclass_field, dataclasses.fields(cls))))
    if is_pydantic(cls):
        return Shape(
            fields=tuple(_model_field(cls, name) for name in cls.model_fields),
            layout="bare" if cls.__pydantic_root_model__ else "object",
            own=bool(cls.__pydantic_decorators__.model_serializers),
        )
    if is_typed_dict(cls):
        hints = hints_of(cls)[0].items()
        return Shape(fields=tuple(_field(name, required=_is_key(cls, name, hint)) for name, hint in hints))
    if is_named_tuple(cls):
        fields = (_field(name, required=name not in cls._field_defaults) for name in cls._fields)
        return Shape(fields=tuple(fields), layout="array")
    return None


def _field(name: str, wire: str = "", *, required: bool) -> Field:
    return Field(name=name, wire=wire or name, read_names=(wire or name,), required=required)


def _struct(cls: type[msgspec.Struct]) -> Shape:
    defaults: tuple[object, ...] = cls.__struct_defaults__
    none: list[object] = [msgspec.NODEFAULT] * (len(cls.__struct_fields__) - len(defaults))
    columns = zip(cls.__struct_fields__, cls.__struct_encode_fields__, (*none, *defaults), strict=True)
    config = cls.__struct_config__
    return Shape(
        fields=tuple(
            _field(name, wire, required=default is msgspec.NODEFAULT) for name, wire, default in columns
        ),
        layout="array" if config.array_like else "object",
        first=0 if config.tag is None else 1,
        tag=None if config.tag is None else (config.tag_field or "", config.tag),
    )


def _dataclass_field(field: dataclasses.Field[Any]) -> Field:
    none = dataclasses.MISSING
    required = field.init and field.default is none and field.default_factory is none
    return msgspec.structs.replace(_field(field.name, required=required), shown=field.repr)


def _model_field(cls: Any, name: str) -> Field:
    field = cls.model_fields[name]
    by_alias = cls.model_config.get("serialize_by_alias")
    aliases = getattr(field.validation_alias, "choices", [field.validation_alias])
    return Field(
        name=name,
        wire=(field.serialization_alias if by_alias else None) or name,
        read_names=(name, *(alias for alias in aliases if isinstance(alias, str))),
        required=field.is_required(),
        shown=field.repr,
    )


def _is_key(cls: Any, name: str, hint: object) -> bool:
    """Whether a TypedDict must have a key; its class does not know it of annotations that were text."""
    wrapper = getattr(get_origin(hint), "_name", None)
    return wrapper == "Required" or (name in cls.__required_keys__ and wrapper != "NotRequired")


def _writes_itself(cls: Any, name: str) -> bool:
    decorators: Any = cls.__pydantic_decorators__.field_serializers.values()
    return any({name, "*"} & set(decorator.info.fields) for decorator in decorators)


def _takes_more(hint: Any) -> bool:
    """Whether payloads may hold more than their fields."""
    cls = get_origin(hint) or hint
    return is_typed_dict(cls) or (is_pydantic(cls) and cls.model_config.get("extra") == "allow")


def _subclasses(cls: Any) -> list[Any]:
    return [found for each in cls.__subclasses__() for found in (each, *_subclasses(each))]
