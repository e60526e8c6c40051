"""Places: what an annotation says may stand somewhere in a payload, its marks included."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import reduce
from itertools import zip_longest
from types import NoneType, SimpleNamespace, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    ForwardRef,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

import msgspec

from tidings.events.payloads.marks import ABSENT, Mark, mark_in, stronger

Bound = Mapping[Any, Any]
"""What the type variables of a generic class stand for."""

_LEAVES = frozenset(
    {str, int, float, bool, bytes, bytearray, NoneType, UUID, Decimal, date, time, datetime, timedelta}
    | {msgspec.UnsetType}
)
_WRAPPERS = frozenset({"Required", "NotRequired", "ReadOnly", "Final", "ClassVar"})


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What may stand at one place of a payload; of a union, all of it together.

    ``kinds`` are classes without parts, ``only`` the values where it is a Literal, ``classes`` those with
    fields (or a generic class with its arguments). ``items`` is what lists, sets and long tuples hold,
    ``fixed`` what a tuple holds at each position, ``keys`` and ``values`` what mappings do. ``own`` is true
    where a pydantic serializer of the user's writes the value.
    """

    mark: Mark | None = None
    kinds: frozenset[Any] = frozenset()
    only: tuple[object, ...] = ()
    classes: tuple[Any, ...] = ()
    items: Place | None = None
    fixed: tuple[Place, ...] = ()
    keys: Place | None = None
    values: Place | None = None
    own: bool = False

    @property
    def is_open(self) -> bool:
        """True where an instance of any class may stand, as far as the annotation tells."""
        return not self.kinds <= _LEAVES

    @property
    def is_plain(self) -> bool:
        """True where nothing can stand that is marked, or that tidings writes or reads in its own way."""
        return not any(
            place.mark or place.classes or place.is_open or place.kinds & {datetime, timedelta}
            for place in self.within()
        )

    @property
    def is_text(self) -> bool:
        """True where nothing but str or None can stand."""
        has_parts = self.classes or self.items or self.fixed or self.values
        return str in self.kinds and self.kinds <= {str, NoneType} and not has_parts

    @property
    def blank(self) -> object:
        """What its reader gets when the wire carries nothing: None, empty text (or bytes), or ABSENT."""
        if self.kinds & {NoneType, object}:
            return None
        return "" if self.kinds & {str, bytes} else ABSENT

    def within(self) -> Iterator[Place]:
        """This place and all inside of it, but not the fields of classes."""
        yield self
        for inner in (self.items, *self.fixed, self.keys, self.values):
            if inner is not None:
                yield from inner.within()

    def at(self, index: int) -> Place:
        """The place of one item of a list, a set or a tuple."""
        here = self.fixed[index] if index < len(self.fixed) else None
        return _either(here, self.items) or ANYTHING


ANYTHING: Final = Place(kinds=frozenset({object}))
_ITSELF: Final = Place(kinds=frozenset({object, "itself"}))


def place_of(hint: Any, bound: Bound | None = None) -> Place:
    """The place that an annotation describes; where it cannot be followed, ANYTHING."""
    return _place(hint, bound or {}, ())


def field_names(cls: type) -> tuple[str, ...] | None:
    """The fields of a msgspec.Struct, pydantic model or dataclass; None for any other class."""
    if issubclass(cls, msgspec.Struct):
        return cls.__struct_fields__
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    if is_pydantic(cls):
        return tuple(cls.model_fields)  # type: ignore[attr-defined]
    return None


def is_pydantic(cls: type) -> bool:
    """True for a pydantic v2 model class. pydantic itself is imported only if the application did."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def is_typed_dict(cls: type) -> bool:
    """True for a TypedDict, that of typing_extensions too, which typing.is_typeddict does not know."""
    return issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def is_named_tuple(cls: type) -> bool:
    """True for a NamedTuple, of which JSON has an array."""
    return issubclass(cls, tuple) and hasattr(cls, "_field_defaults")


def plain_value(value: object) -> object:
    """The value of an Enum's member; any other as it is."""
    return value.value if isinstance(value, Enum) else value


def _place(  # noqa: PLR0911 - one for each form of annotation
    hint: Any, bound: Bound, aliases: tuple[object, ...]
) -> Place:
    origin, args = get_origin(hint), get_args(hint)

    def inner(hint: Any) -> Place:
        return _place(hint, bound, aliases)

    if origin is Annotated:
        place, said = inner(args[0]), hint.__metadata__
        return msgspec.structs.replace(
            place, mark=stronger(place.mark, mark_in(said)), own=place.own or _has_serializer(said)
        )
    if origin in (Union, UnionType):
        return reduce(_union, map(inner, args))
    if origin is Literal:
        return Place(kinds=frozenset(map(type, args)), only=tuple(map(plain_value, args)))
    if isinstance(hint, TypeVar):
        return _place(bound[hint], {}, aliases) if hint in bound else ANYTHING
    if getattr(origin, "_name", None) in _WRAPPERS:
        return inner(args[0])
    if hasattr(hint, "__supertype__"):  # a NewType
        return inner(hint.__supertype__)
    named = object if hint is Any else origin or hint
    if named in aliases or (aliases and isinstance(named, (str, ForwardRef))):
        return _ITSELF
    if hasattr(named, "__value__"):  # of a ``type`` statement
        meaning = _meaning(named)
        return _alias(_place(meaning[args] if args else meaning, bound, (*aliases, named)))
    if not isinstance(named, type):
        return ANYTHING
    if any(each in bound for each in args if isinstance(each, TypeVar)):
        return _place(hint[tuple(bound.get(each, each) for each in hint.__parameters__)], {}, aliases)
    return _class_place(named, hint, args, inner)


def _meaning(alias: Any) -> Any:
    """What an alias stands for, with the names in it that are still text."""
    holder = SimpleNamespace(__annotations__={"alias": alias.__value__})
    try:
        return get_type_hints(holder, vars(sys.modules[alias.__module__]), include_extras=True)["alias"]
    except Exception:  # such text may raise anything
        return alias.__value__


def _alias(place: Place) -> Place:
    """An alias that names itself cannot be followed: it is as secret as the most secret of what it holds."""
    within = list(place.within())
    if any(_ITSELF.kinds <= inner.kinds for inner in within):
        return msgspec.structs.replace(place, mark=reduce(stronger, (inner.mark for inner in within)))
    return place


def _class_place(cls: type, hint: Any, args: tuple[Any, ...], inner: Callable[[Any], Place]) -> Place:
    if field_names(cls) is not None or is_typed_dict(cls) or is_named_tuple(cls):
        return Place(classes=(hint if _has_hash(hint) else cls,))
    if issubclass(cls, Enum):
        return Place(kinds=frozenset(type(member.value) for member in cls))
    if issubclass(cls, Mapping):
        keys, values = map(inner, args) if len(args) == 2 else (ANYTHING, ANYTHING)
        return Place(keys=keys, values=values)
    if issubclass(cls, tuple) and args and args[-1] is not ...:
        return Place(fixed=tuple(map(inner, args)))
    if issubclass(cls, Collection) and not issubclass(cls, (str, bytes, bytearray)):
        return Place(items=inner(args[0]) if args else ANYTHING)
    # A class whose arguments mean nothing here is as secret as the most secret of them.
    marks = [place.mark for each in args for place in inner(each).within()]
    return Place(kinds=frozenset({cls}), mark=reduce(stronger, marks, None))


def _either(one: Place | None, other: Place | None) -> Place | None:
    return _union(one, other) if one and other else one or other


def _union(one: Place, other: Place) -> Place:
    return Place(
        mark=stronger(one.mark, other.mark),
        kinds=one.kinds | other.kinds,
        only=one.only + other.only if one.only and other.only else (),
        classes=tuple(dict.fromkeys(one.classes + other.classes)),
        items=_either(one.items, other.items),
        fixed=tuple(_either(*pair) or ANYTHING for pair in zip_longest(one.fixed, other.fixed)),
        keys=_either(one.keys, other.keys),
        values=_either(one.values, other.values),
        own=one.own or other.own,
    )


def _has_hash(hint: object) -> bool:
    try:
        hash(hint)
    except TypeError:  # what stands inside of an Annotated may have none
        return False
    return True


def _has_serializer(metadata: tuple[object, ...]) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and any(
        isinstance(each, (pydantic.PlainSerializer, pydantic.WrapSerializer)) for each in metadata
    )
