"""The annotations of a class with their meaning, as far as every name in them is defined by now."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from tidings.events.payloads.places import is_pydantic


def hints_of(cls: Any) -> tuple[dict[str, Any], bool]:
    """The annotations of a class, and whether all of them could be resolved.

    A decorator sees its class before its module has the name, and before the classes further down: names that
    mean nothing yet stand for a class without fields.
    """
    if is_pydantic(cls):
        return _model_hints(cls), cls.__pydantic_complete__
    for names in (None, _Lenient(cls)):
        try:
            return get_type_hints(cls, localns=names, include_extras=True), names is None
        except Exception:  # noqa: S112 - an annotation that is text may raise anything
            continue
    return {}, False


def type_arguments(hint: Any) -> Mapping[Any, Any]:
    """What the type variables of a generic class and of its bases stand for.

    A variable that a class and its base use for different things stands for either.
    """
    cls = get_origin(hint) or hint
    given = dict(zip(getattr(cls, "__parameters__", ()), get_args(hint), strict=False))
    found = dict(given)
    for base in getattr(cls, "__orig_bases__", ()):
        for name, meant in type_arguments(base).items():
            here = given.get(meant, meant)
            found[name] = Union[found[name], here] if name in found else here  # noqa: UP007
    return found


class _Lenient(dict[str, Any]):
    """The names that a class may use; one that is not defined yet is the class Later."""

    def __init__(self, cls: type) -> None:
        super().__init__(vars(cls))
        self.update(vars(builtins))
        for base in cls.__mro__:
            self.update(vars(sys.modules.get(base.__module__, builtins)))
        self[cls.__name__] = cls

    def __missing__(self, name: str) -> type:
        return Later


class Later:
    """Stands for a class that is not defined yet."""


def _model_hints(cls: Any) -> dict[str, Any]:
    return {
        name: Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        for name, field in cls.model_fields.items()
    }
