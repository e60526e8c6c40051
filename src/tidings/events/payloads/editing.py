"""Editing: the JSON values of a payload with every mark obeyed, for the wire or for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from tidings.errors import InvalidEvent
from tidings.events.payloads.faults import encode_native, refuse_hidden_nan
from tidings.events.payloads.marks import ABSENT, MASK, Mark, changes_wire, leaves_out, on_wire
from tidings.events.payloads.places import ANYTHING, Place
from tidings.events.payloads.shape import Shape
from tidings.events.payloads.walk import extras_of, marked_parts, shape_at, value_of


def for_wire(value: object, tree: Any, place: Place) -> Any:
    """``tree`` without what is Secret, and with what the wire has of what is Personal.

    ``tree`` is what msgspec or pydantic made of ``value``, and is changed. Raises InvalidEvent, which shows
    no value, where a function given as ``on_wire`` fails and where a user's serializer hides marked fields.
    """
    return _or_blank(_Editor(masking=False).edit(value, tree, place, "the event"), place)


def for_people(value: object, tree: Any, place: Place) -> Any:
    """``tree`` with ``***`` for what is marked and not None. Changes it; raises InvalidEvent as above."""
    return _Editor(masking=True).edit(value, tree, place, "the event")


class _Editor:
    """Walks a payload and its JSON values side by side: the one has the classes, the other is edited."""

    def __init__(self, *, masking: bool) -> None:
        self._masking = masking

    def edit(self, value: Any, tree: Any, place: Place, label: str) -> Any:
        """What is to stand here instead of ``tree``, or ABSENT; ``label`` names the field that this is in."""
        mark = place.mark
        if mark is None:
            return self._inside(value, tree, place, label)
        if self._masking:
            return None if tree is None else MASK
        if leaves_out(mark):
            return ABSENT
        return _transformed(mark, self._inside(value, tree, place, label), label)

    def _inside(self, value: Any, tree: Any, place: Place, label: str) -> Any:
        shape = shape_at(value, place)
        if place.own or (shape is not None and shape.own):
            return self._unfollowed(value, tree, place, label)
        if shape is not None:
            return self._of_shape(value, tree, place, shape, label)
        if isinstance(value, Mapping):
            if isinstance(tree, dict) and len(tree) == len(value):
                return self._mapping(value, tree, place, label)
        elif isinstance(value, Collection) and not isinstance(value, (str, bytes, bytearray, memoryview)):
            if isinstance(tree, (list, tuple)) and len(tree) == len(value):
                return self._items(value, tree, place, label)
        else:
            return tree
        return self._unfollowed(value, tree, place, label)

    def _of_shape(self, value: Any, tree: Any, place: Place, shape: Shape, label: str) -> Any:
        if shape.layout == "bare":
            field = shape.fields[0]
            return _or_blank(self.edit(value.root, tree, field.place, field.label), field.place)
        if shape.layout == "array" and isinstance(tree, (list, tuple)):
            edited = list(tree)
            for index, field in enumerate(shape.fields, shape.first):
                here = self.edit(value_of(value, field.name), edited[index], field.place, field.label)
                edited[index] = _or_blank(here, field.place)
            return edited
        if shape.layout == "array" or not isinstance(tree, dict):
            return self._unfollowed(value, tree, place, label)
        for field in shape.special:
            if field.wire in tree:
                here = value_of(value, field.name)
                _put(tree, field.wire, self.edit(here, tree[field.wire], field.place, field.label))
        for key, other in extras_of(value, shape).items():
            if key in tree:
                tree[key] = self.edit(other, tree[key], ANYTHING, label)
        if dataclasses.is_dataclass(value) and not tree.keys() <= {field.wire for field in shape.fields}:
            return self._unfollowed(value, tree, place, label)  # pydantic wrote it, under names of its own
        return tree

    def _mapping(self, value: Any, tree: dict[Any, Any], place: Place, label: str) -> dict[Any, Any]:
        there = place.values or ANYTHING
        for each, key in zip(value.values(), list(tree), strict=True):
            _put(tree, key, self.edit(each, tree[key], there, label))
        return tree

    def _items(self, value: Any, tree: Any, place: Place, label: str) -> list[Any]:
        edited = []
        for index, (each, here) in enumerate(zip(value, tree, strict=True)):
            there = place.at(index)
            new = self.edit(each, here, there, label)
            if index < len(place.fixed):
                new = _or_blank(new, there)
            if new is not ABSENT:
                edited.append(new)
        return edited

    def _unfollowed(self, value: object, tree: Any, place: Place, label: str) -> Any:
        """``tree`` as it is, where no mark in it has to be obeyed here."""
        unmarked = msgspec.structs.replace(place, mark=None)
        marks = (there.mark for _, there in marked_parts(value, unmarked))
        if any(mark and (self._masking or changes_wire(mark)) for mark in marks):
            raise InvalidEvent(
                f"{label} is written by a serializer of its own, which may show the marked fields in it: "
                "mark the whole field, or leave the serializer out"
            )
        return tree


def _put(tree: dict[Any, Any], key: Any, value: Any) -> None:
    if value is ABSENT:
        del tree[key]
    else:
        tree[key] = value


def _or_blank(value: Any, place: Place) -> Any:
    """At a place that cannot be left out, its blank stands for what is absent."""
    if value is not ABSENT:
        return value
    return None if place.blank is ABSENT else place.blank


def _transformed(mark: Mark, tree: Any, label: str) -> Any:
    try:
        new = on_wire(mark, tree)
        refuse_hidden_nan(new, encode_native(new))
    except Exception as error:  # of a user's function
        fault = (
            f"{label} cannot be written: what is to go on the wire for it raised {type(error).__qualname__}"
        )
    else:
        return new
    raise InvalidEvent(fault)
