"""Compatibility: every change that breaks a consumer is named, and no other."""

from __future__ import annotations

import copy
import enum
import itertools
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, Union, get_args, get_origin
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tidings import ConfigError, Registry
from tidings.errors import DocumentError
from tidings.events.asyncapi import asyncapi
from tidings.events.compatibility import Mode, breaking_changes, check_compatibility
from tidings.events.schemas.documents import Document, read, write
from tidings.events.schemas.wire import Format
from unit.test_asyncapi import document_of as shop

_numbers = itertools.count()  # two classes within a type may not have the same full name
Field = tuple[str, Any] | tuple[str, Any, Any]
MODES: tuple[Mode, ...] = ("backward", "forward", "full")
NEW_READERS = "consumers with the new schema cannot read events written before"
OLD_READERS = "consumers with the old schema cannot read new events"
NEITHER = f"{NEW_READERS}, nor those with the old schema new ones"


def struct(*fields: Field, name: str = "Placed", **options: Any) -> type:
    return msgspec.defstruct(name, fields, kw_only=True, module=f"shop{next(_numbers)}", **options)


def document(
    cls: type, event_type: str = "order.placed", *, format: Format = "json", **declared: Any
) -> Document:
    registry = Registry()
    registry.event(event_type, **declared)(cls)
    return asyncapi(registry, title="Shop", version="1", format=format)


def changes(before: type, after: type, mode: Mode = "full") -> list[str]:
    return breaking_changes(document(before), document(after), mode)


def of_fields(before: Any, after: Any, mode: Mode = "full") -> list[str]:
    """The changes where a required field ``a`` is of one type before, and of another after."""
    return changes(struct(("a", before)), struct(("a", after)), mode)


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


Fewer = enum.StrEnum("Colour", {"RED": "red"})  # type: ignore[misc]


class Open(TypedDict, total=False):
    x: int


class Pair(NamedTuple):
    left: int


class Wider(NamedTuple):
    left: int
    right: int = 0


def at_least(bound: int, kind: Any = int) -> Any:
    return Annotated[kind, msgspec.Meta(ge=bound)]


def step(size: int) -> Any:
    return Annotated[int, msgspec.Meta(multiple_of=size)]


def long(most: int, kind: Any = str) -> Any:
    return Annotated[kind, msgspec.Meta(max_length=most)]


def like(pattern: str) -> Any:
    return Annotated[str, msgspec.Meta(pattern=pattern)]


def inner(kind: Any) -> Any:
    return struct(("x", kind), name="Inner")


LongName: Any = long(5)
Inner: Any = inner(int)
OrNull: Any = inner(int | None)

# -- single fields: what changes, who breaks, in which words

NARROWED = [
    (int | str, int, "the field data.a changed from integer | string to integer"),
    (float, int, "the field data.a changed from number to integer"),
    (Any, int, "the field data.a changed from anything to integer"),
    (str | None, str, "the field data.a can no longer be null"),
    (str, Literal["x", "y"], "the field data.a changed from string to one of 'x', 'y'"),
    (str, Colour, "the field data.a changed from string to one of 'blue', 'red'"),
    (Colour, Fewer, "the field data.a no longer allows 'blue'"),
    (Literal["x", "y", 1, None], Literal["x", 1, None], "the field data.a no longer allows 'y'"),
    (int, at_least(5), "the field data.a changed its minimum from none to 5"),
    (at_least(1), at_least(5), "the field data.a changed its minimum from 1 to 5"),
    (int, Annotated[int, msgspec.Meta(lt=9)], "the field data.a changed its maximum from none to 8"),
    (
        at_least(0, float),
        Annotated[float, msgspec.Meta(gt=0)],
        "changed its minimum from 0 to 0 (excluded)",
    ),
    (int, step(4), "changed its multipleOf from none to 4"),
    (step(2), step(4), "changed its multipleOf from 2 to 4"),
    (str, long(5), "the field data.a changed its maxLength from none to 5"),
    (long(9), long(5), "the field data.a changed its maxLength from 9 to 5"),
    (str, Annotated[str, msgspec.Meta(min_length=1)], "changed its minLength from none to 1"),
    (list[int], long(3, list[int]), "the field data.a changed its maxItems from none to 3"),
    (dict[str, int], long(3, dict[str, int]), "changed its maxProperties from none to 3"),
    (str, like("^a"), "the field data.a changed its pattern from none to ^a"),
    (str, UUID, "the field data.a changed its format from none to uuid"),
    (int, timedelta, "the field data.a changed its format from none to nanoseconds"),
    (list[int], set[int], "the field data.a changed its uniqueItems from none to True"),
    (list[Any], list[int], "the field data.a[] changed from anything to integer"),
    (list[int | None], list[int], "the field data.a[] can no longer be null"),
    (dict[str, int | None], dict[str, int], "the field data.a.* can no longer be null"),
    (dict[str, Any], dict[str, int], "the field data.a.* changed from anything to integer"),
    (dict[str, Any], Open, "the field data.a.x changed from anything to integer"),
    (dict[str, int], dict[LongName, int], "data.a.* (its name) changed its maxLength from none to 5"),
    (tuple[int, int | None], tuple[int, int], "the field data.a[1] can no longer be null"),
    (OrNull, Inner, "the field data.a.x can no longer be null"),
    (list[OrNull], list[Inner], "the field data.a[].x can no longer be null"),
    (OrNull | None, Inner | None, "the field data.a.x can no longer be null"),
]
CHANGED = [
    (int, str, "the field data.a changed from integer to string"),
    (str, bool, "the field data.a changed from string to boolean"),
    (int, list[int], "the field data.a changed from integer to list"),
    (list[int], list[str], "the field data.a[] changed from integer to string"),
    (dict[str, int], dict[str, str], "the field data.a.* changed from integer to string"),
    (Open, dict[str, str], "the field data.a.x changed from integer to string"),
    (list[int], dict[str, int], "the field data.a changed from list to map"),
    (inner(int), int, "the field data.a changed from Inner to integer"),
    (inner(int), inner(str), "the field data.a.x changed from integer to string"),
    (like("^a"), like("^b"), "the field data.a changed its pattern from ^a to ^b"),
    (UUID, datetime, "the field data.a changed its format from uuid to date-time"),
    (bytes, UUID, "the field data.a changed its format from none to uuid"),
    (str, timedelta | None, "the field data.a changed from string to integer (nanoseconds) | null"),
    (step(6), step(4), "the field data.a changed its multipleOf from 6 to 4"),
]


@pytest.mark.parametrize(("wide", "narrow", "what"), NARROWED)
def test_a_narrowed_type_breaks_new_readers_and_a_widened_one_old_readers(
    wide: Any, narrow: Any, what: str
) -> None:
    (change,) = of_fields(wide, narrow)
    assert change.startswith("order.placed: the field data.a")
    assert what in change
    assert NEW_READERS in change
    assert of_fields(wide, narrow, "backward") == [change]
    assert of_fields(wide, narrow, "forward") == []
    (change,) = of_fields(narrow, wide)
    assert OLD_READERS in change
    assert of_fields(narrow, wide, "forward") == [change]
    assert of_fields(narrow, wide, "backward") == []


@pytest.mark.parametrize(("before", "after", "what"), CHANGED)
def test_another_type_breaks_both(before: Any, after: Any, what: str) -> None:
    assert any(what in change for change in of_fields(before, after))
    for mode in MODES[:2]:
        assert of_fields(before, after, mode)
        assert of_fields(after, before, mode)


def test_a_change_that_breaks_both_is_said_once() -> None:
    assert of_fields(int, str) == [
        f"order.placed: the field data.a changed from integer to string: {NEITHER}. "
        "Add a field of another name instead."
    ]


def test_the_sentence_of_a_new_required_field() -> None:
    before, after = struct(("id", str)), struct(("id", str), ("total", int))
    assert changes(before, after) == [
        f"order.placed: the field data.total is new and required: {NEW_READERS}. Give it a default."
    ]
    assert changes(before, after, "forward") == []
    assert changes(after, before) == [
        f"order.placed: the field data.total was removed: {OLD_READERS}. Keep it until no consumer needs it."
    ]
    assert changes(after, before, "backward") == []


def test_an_optional_field_may_come_and_its_going_is_told() -> None:
    without, with_it = struct(("id", str)), struct(("id", str), ("total", int, 0))
    for mode in MODES:
        assert changes(without, with_it, mode) == []
    assert changes(with_it, without, "backward") == []
    assert (
        changes(with_it, without, "forward")
        == changes(with_it, without)
        == [
            "order.placed: the field data.total was removed: consumers with the old schema find it no more. "
            "Keep it until no consumer needs it."
        ]
    )


def test_a_default_makes_a_field_optional_and_taking_it_away_required() -> None:
    required, optional = struct(("total", int)), struct(("total", int, 0))
    assert changes(optional, required) == [
        f"order.placed: the field data.total became required: {NEW_READERS}."
    ]
    assert changes(required, optional) == [
        f"order.placed: the field data.total became optional: {OLD_READERS}."
    ]
    assert changes(required, optional, "backward") == changes(optional, required, "forward") == []


def test_readers_that_forbid_unknown_fields() -> None:
    fewer = struct(("id", str), forbid_unknown_fields=True)
    more = struct(("id", str), ("note", str, ""), forbid_unknown_fields=True)
    (change,) = changes(fewer, more)
    assert "the field data.note is new, and fields it does not know are refused" in change
    assert OLD_READERS in change
    (change,) = changes(more, fewer, "backward")
    assert "the field data.note was removed, and fields it does not know are refused" in change
    assert NEW_READERS in change
    assert changes(struct(("id", str)), fewer) == []


def test_models_that_take_or_refuse_further_fields() -> None:
    def model(extra: Any) -> type:
        return pydantic.create_model("Model", __config__=pydantic.ConfigDict(extra=extra), a=(int, 1))

    allowed, forbidden = model("allow"), model("forbid")
    (change,) = changes(allowed, forbidden)
    assert "the payload" not in change
    assert "the field data no longer takes further fields" in change
    (change,) = changes(forbidden, allowed)
    assert "the field data may now have further fields" in change
    more = pydantic.create_model(
        "Model", __config__=pydantic.ConfigDict(extra="allow"), a=(int, 1), b=(str, "")
    )
    assert changes(allowed, more) == []


def test_lists_of_a_fixed_form() -> None:
    def array(*fields: Field, **options: Any) -> type:
        return struct(*fields, array_like=True, name="Array", **options)

    short, longer = array(("a", int)), array(("a", int), ("b", str, ""))
    assert of_fields(short, longer) == of_fields(longer, short) == []
    (change,) = of_fields(short, array(("a", int), ("b", str)))
    assert "changed its minItems from 1 to 2" in change
    assert NEW_READERS in change
    (change,) = of_fields(longer, array(("a", int), ("b", int, 0)))
    assert "the field data.a[1] changed from string to integer" in change
    (change,) = of_fields(Pair, Wider)
    assert "changed its maxItems from 1 to 2" in change
    assert OLD_READERS in change
    assert of_fields(tuple[int, str], list[int | str], "backward") == []
    assert any(
        "data.a[1] changed from string to integer" in one for one in of_fields(tuple[int, str], list[int])
    )
    found = of_fields(list[int | None], tuple[int])
    assert any("the field data.a[0] can no longer be null" in change for change in found)


def test_a_list_of_one_item_has_no_second() -> None:
    one: Any = Annotated[list[int], msgspec.Meta(min_length=1, max_length=1)]
    more = struct(("a", int), ("b", str, ""), array_like=True)
    assert of_fields(one, more, "backward") == of_fields(one, tuple[int], "backward") == []
    assert len(of_fields(list[int], more, "backward")) == 2


def test_any_alternative_may_take_a_value() -> None:
    def said(*schemas: Any) -> Document:
        one = document(struct(("a", int)))
        one["components"]["schemas"]["Placed"]["properties"]["a"] = {"anyOf": list(schemas)}
        return one

    def form(title: str, kind: str) -> Any:
        return {"type": "object", "title": title, "properties": {"x": {"type": kind}}, "required": ["x"]}

    both, apart = said({"enum": ["a", "b"]}), said({"enum": ["a"]}, {"enum": ["b"]})
    assert breaking_changes(both, apart) == breaking_changes(apart, both) == []
    (change,) = breaking_changes(said({"enum": ["a", "b", "c"]}), apart)
    assert "no longer allows 'c':" in change
    before = said(form("A", "integer"))
    assert breaking_changes(before, said(form("A", "string"), form("B", "integer")), "backward") == []
    (change,) = breaking_changes(before, said(form("A", "string"), form("B", "boolean")), "backward")
    assert "the field data.a.x changed from integer to string" in change


def test_tagged_unions() -> None:
    def pet(tag: str, *fields: Field) -> type:
        return struct(("id", int), *fields, name=tag.title(), tag=tag)

    cat, dog, fish = pet("cat", ("lives", int)), pet("dog"), pet("fish")
    (change,) = of_fields(cat | dog | fish, cat | dog)
    assert "no longer allows 'fish'" in change
    assert NEW_READERS in change
    (change,) = of_fields(cat | dog, cat | dog | fish)
    assert "now allows 'fish'" in change
    (change,) = of_fields(cat | dog, pet("cat", ("lives", str)) | dog)
    assert "the field data.a.lives changed from integer to string" in change
    (change,) = of_fields(dog | cat, dog | pet("cat", ("lives", str)))
    assert "the field data.a.lives changed from integer to string" in change, "not: it is no dog"
    assert of_fields(cat | dog | None, dog | cat | None) == []
    assert of_fields(cat | dog, pet("cat", ("lives", int), ("name", str, "")) | dog) == []


def test_models_and_their_constraints() -> None:
    def model(kind: Any) -> type:
        inside: Any = pydantic.create_model("Inside", x=(kind, ...))
        return pydantic.create_model("Model", a=(list[inside], ...), b=(inside | None, None))

    short = Annotated[str, pydantic.Field(max_length=5)]
    found = changes(model(str), model(short))
    assert [change.partition(": ")[2].partition(":")[0] for change in found] == [
        "the field data.a[].x changed its maxLength from none to 5",
        "the field data.b.x changed its maxLength from none to 5",
    ]
    (change,) = changes(
        pydantic.create_model("Model", a=(dict[short, int], ...)),
        pydantic.create_model("Model", a=(dict[Annotated[str, pydantic.Field(max_length=3)], int], ...)),
    )
    assert "data.a.* (its name) changed its maxLength from 5 to 3" in change

    def by_pattern(pattern: str, kind: Any) -> type:
        name: Any = Annotated[str, pydantic.Field(pattern=pattern)]
        return pydantic.create_model("Model", a=(dict[name, kind], ...))

    assert (
        "the field data.a.* changed from integer to string"
        in changes(by_pattern("^a", int), by_pattern("^a", str))[0]
    )
    assert "(its name) changed from ^a to ^b" in changes(by_pattern("^a", int), by_pattern("^b", int))[0]
    assert (
        changes(by_pattern("^a", int), pydantic.create_model("M", a=(dict[str, int], ...)), "backward") == []
    )
    assert changes(model(str), model(str)) == []


def test_one_class_for_another_of_the_same_form_is_no_change() -> None:
    class Placed(pydantic.BaseModel):
        """Another kind of class altogether."""

        b: int | None = None
        a: str

    assert changes(struct(("a", str), ("b", int | None, None)), Placed) == []


# -- no false alarms


def test_order_words_and_names_mean_nothing() -> None:
    one = struct(("a", int), ("b", inner(int) | str, ""), ("c", Literal["x", "y"]))
    renamed = struct(("x", int), name="Renamed", frozen=True)
    other = struct(
        ("c", Annotated[Literal["y", "x"], msgspec.Meta(description="New.", title="New")]),
        ("b", Annotated[str | renamed, msgspec.Meta(examples=["a"])], "new default"),
        ("a", Annotated[int, msgspec.Meta(extra_json_schema={"x-note": 1, "deprecated": True})]),
        name="Other",
    )
    for mode in MODES:
        assert changes(one, other, mode) == changes(other, one, mode) == []


def test_the_same_bound_in_other_words_is_no_change() -> None:
    assert of_fields(Literal["a", None], Literal["a"] | None) == []
    both = pydantic.create_model("Model", a=(int, pydantic.Field(ge=5, gt=0)))
    one = pydantic.create_model("Model", a=(int, pydantic.Field(ge=5)))
    assert changes(both, one) == []
    assert of_fields(Annotated[int, msgspec.Meta(gt=0, lt=9)], Annotated[int, msgspec.Meta(ge=1, le=8)]) == []


def test_new_event_types_and_new_words_about_the_application() -> None:
    registry = Registry()
    placed = registry.event("order.placed", topic="orders")(struct(("a", inner(int))))
    before = asyncapi(registry, title="Shop", version="1")
    registry.event("a.a", topic="others")(struct(("a", inner(str)), name="Other"))
    registry.event("z.z", topic="orders")(struct(("a", inner(str)), name="Third"))
    after = asyncapi(
        registry, title="New shop", version="2", description="All.", servers={"a": "b:1"}, source="s"
    )
    assert "order.placed.Inner" in after["components"]["schemas"], "it was renamed, to be kept apart"
    assert placed.__name__ == "Placed"
    assert breaking_changes(before, after) == []


class Tree(msgspec.Struct):
    value: int
    left: Tree | None = None
    right: list[Tree] = []


class TreeB(msgspec.Struct, rename=lambda name: name):
    value: int
    left: TreeB | None = None
    right: list[TreeB] = []
    note: str = ""


class TreeOfText(msgspec.Struct):
    value: str
    left: TreeOfText | None = None
    right: list[TreeOfText] = []


class Odd(msgspec.Struct):
    even: Even | None = None

    value: int = 0


class Even(msgspec.Struct):
    odd: Odd | None = None


class OddB(msgspec.Struct):
    even: EvenB | None = None
    value: str = ""


class EvenB(msgspec.Struct):
    odd: OddB | None = None


def test_types_that_hold_themselves() -> None:
    assert changes(Tree, TreeB) == changes(TreeB, Tree, "backward") == changes(Odd, Odd) == []
    assert [change.partition(" was")[0] for change in changes(TreeB, Tree)] == [
        "order.placed: the field data.note"
    ]
    (change,) = changes(Tree, TreeOfText)
    assert change.startswith("order.placed: the field data.value changed from integer to string")
    assert of_fields(dict[str, Tree], dict[str, TreeB]) == []
    (change,) = of_fields(Tree | None, TreeOfText | None)
    assert "data.a.value changed from integer to string" in change


def test_every_event_that_holds_a_broken_type_is_named() -> None:
    def two(odd: type, even: type) -> Document:
        registry = Registry()
        registry.event("a.a")(odd)
        registry.event("b.b")(even)
        return asyncapi(registry, title="", version="")

    found = breaking_changes(two(Odd, Even), two(OddB, EvenB))
    assert [change.partition(" changed")[0] for change in found] == [
        "a.a: the field data.value",
        "b.b: the field data.odd.value",
    ]


def test_a_reference_to_nothing_but_itself_ends() -> None:
    one = document(struct(("a", int)))
    one["components"]["schemas"]["Loop"] = {
        "anyOf": [{"$ref": "#/components/schemas/Loop"}, {"type": "integer"}]
    }
    one["components"]["schemas"]["Placed"]["properties"]["a"] = {"$ref": "#/components/schemas/Loop"}
    assert breaking_changes(one, one) == []
    assert breaking_changes(one, document(struct(("a", int)))) == []
    assert breaking_changes(document(struct(("a", str))), one) != []


# -- event types, topics, keys, formats


@pytest.mark.parametrize("mode", MODES)
def test_an_event_type_stays(mode: Mode) -> None:
    before, after = document(struct(("a", int))), document(struct(("a", int)), "order.created")
    (change,) = breaking_changes(before, after, mode)
    assert change.startswith("order.placed: the event type was removed or renamed")
    assert breaking_changes(asyncapi(Registry(), title="", version=""), after, mode) == []


@pytest.mark.parametrize("mode", MODES)
def test_topic_and_key_stay(mode: Mode) -> None:
    cls = struct(("a", str), ("b", str))
    before = document(cls, topic="orders", key="a")
    (change,) = breaking_changes(before, document(cls, topic="sales", key="a"), mode)
    assert change.startswith("order.placed: the topic changed from orders to sales")
    (change,) = breaking_changes(before, document(cls, topic="orders", key="b"), mode)
    assert change.startswith("order.placed: the key changed from a to b")
    (change,) = breaking_changes(before, document(cls, topic="orders"), mode)
    assert change.startswith("order.placed: the key changed from a to none")
    (change,) = breaking_changes(before, document(cls, topic="orders", key=lambda event: event.a), mode)
    assert change.startswith("order.placed: the key changed from a to function")


def test_the_type_of_a_key_is_compared_too() -> None:
    before, after = (document(struct(("a", kind)), key="a") for kind in (str, UUID))
    assert [change.partition(": ")[2].partition(":")[0] for change in breaking_changes(before, after)] == [
        "the key changed its format from none to uuid",
        "the field data.a changed its format from none to uuid",
    ]


@pytest.mark.parametrize("format", ["cloudevents", "cloudevents-binary"])
def test_another_format_is_one_change_and_the_data_are_compared_all_the_same(format: Format) -> None:
    before = document(struct(("a", int)))
    (change,) = breaking_changes(before, document(struct(("a", int)), format=format))
    assert change.startswith(f"order.placed: the format changed from json to {format}")
    found = breaking_changes(document(struct(("a", int)), format=format), document(struct(("a", str))))
    assert len(found) == 2
    assert "the field data.a changed from integer to string" in found[1]
    numbers, texts = (document(struct(("a", kind)), format=format) for kind in (int, str))
    (change,) = breaking_changes(numbers, texts)
    assert "the field data.a changed from integer to string" in change


def test_the_envelope_is_compared_too() -> None:
    before, after = document(struct(("a", int))), document(struct(("a", int)))
    message = after["components"]["messages"]["order.placed"]
    del message["payload"]["properties"]["source"]
    message["payload"]["required"].remove("source")
    message["headers"]["properties"]["content-type"]["const"] = "text/plain"
    found = breaking_changes(before, after, "forward")
    assert "the field headers.content-type now allows 'text/plain'" in found[0]
    assert "the field source was removed" in found[1]


def test_an_unknown_mode_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="'both' is not one of backward, forward, full"):
        breaking_changes(shop(), shop(), "both")  # type: ignore[arg-type]


# -- the check


def test_a_check_lists_every_change_and_how_to_accept_them(tmp_path: Path) -> None:
    file = tmp_path / "events.yaml"
    write(file, document(struct(("a", int), ("b", str)), topic="orders"))
    check_compatibility(file, document(struct(("a", int), ("b", str), ("c", int, 0)), topic="orders"))
    after = document(struct(("a", str)), topic="sales")
    with pytest.raises(DocumentError) as raised:
        check_compatibility(str(file), after)
    said = str(raised.value)
    assert isinstance(raised.value, ConfigError)
    assert said.startswith(f"3 breaking change(s) since {file} (full):\n- order.placed: the topic changed")
    assert said.count("\n- order.placed: ") == 3
    assert said.endswith(
        "Write the file anew with tidings.events.asyncapi.write(path, document), if that is wanted."
    )
    with pytest.raises(DocumentError, match="2 breaking change"):
        check_compatibility(file, after, "backward")
    write(file, after)
    check_compatibility(file, after)


def test_a_snapshot_that_is_missing_or_no_such_document_is_named(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    with pytest.raises(DocumentError, match=r"events\.json cannot be read.*Write the file anew"):
        check_compatibility(file, shop())
    damaged = shop()
    del damaged["components"]["schemas"]["Address"]
    for content, why in [
        ("no", "is not a document"),
        ('{"asyncapi": "3.0.0"}', "events.json: This is not a document of tidings' asyncapi.*'channels'"),
        ('{"asyncapi": "3.1.0", "channels": {"a": {"messages": []}}}', "not a document of tidings'"),
        (json.dumps(damaged), "events.json: The document has no #/components/schemas/Address"),
    ]:
        file.write_text(content)
        with pytest.raises(DocumentError, match=why):
            check_compatibility(file, shop())
    damaged = shop()
    damaged["components"]["schemas"]["Address"] = "text"
    write(file, damaged)
    with pytest.raises(DocumentError, match="has 'text' where a schema belongs"):
        check_compatibility(file, shop())


@pytest.mark.parametrize("format", ["json", "cloudevents", "cloudevents-binary"])
def test_a_document_is_compatible_with_itself_also_as_a_file(tmp_path: Path, format: Format) -> None:
    one = shop(format=format)
    for mode in MODES:
        assert breaking_changes(one, copy.deepcopy(one), mode) == []
    write(tmp_path / "events.yaml", one)
    check_compatibility(tmp_path / "events.yaml", shop(format=format))
    assert read(tmp_path / "events.yaml") == one


# -- any definitions

Definition = dict[str, tuple[Any, bool]]
"""Fields by name: of which type, and whether they are optional."""


def made(definition: Definition, name: str = "Placed") -> type:
    """A class; what is optional in it is left out where it has no value, so that readers meet its absence."""
    return struct(
        *[
            (field, Union[kind, msgspec.UnsetType], msgspec.UNSET) if optional else (field, kind)  # noqa: UP007
            for field, (kind, optional) in definition.items()
        ],
        name=name,
    )


def _fields(kinds: st.SearchStrategy[Any], names: str) -> st.SearchStrategy[Definition]:
    return st.dictionaries(st.sampled_from(names), st.tuples(kinds, st.booleans()), max_size=len(names))


def _containers(kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        kinds.map(lambda kind: list[kind]),  # type: ignore[valid-type]
        kinds.map(lambda kind: dict[str, kind]),  # type: ignore[valid-type]
        st.tuples(kinds, kinds).map(lambda pair: tuple[pair]),  # type: ignore[valid-type]
        kinds.map(lambda kind: Union[kind, None]),  # noqa: UP007
        _fields(kinds, "xyz").map(lambda fields: made(fields, "Inner")),
    )


leaves: st.SearchStrategy[Any] = st.sampled_from(
    [int, str, bool, float, None, Literal["a"], Literal["a", "b"], at_least(1), at_least(5), long(1), long(3)]
)
kinds = st.recursive(leaves, _containers, max_leaves=6)
definitions = _fields(kinds, "abcd")


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(definitions)
def test_any_document_is_compatible_with_itself(definition: Definition) -> None:
    again = dict(reversed(definition.items()))
    for mode in MODES:
        assert changes(made(definition), made(again), mode) == []


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(definitions, kinds)
def test_an_optional_field_more_never_breaks_and_a_required_one_always_does(
    definition: Definition, kind: Any
) -> None:
    before = made(definition)
    optional, required = (made({**definition, "new": (kind, is_optional)}) for is_optional in (True, False))
    for mode in MODES:
        assert changes(before, optional, mode) == []
    assert [NEW_READERS in change for change in changes(before, required)] == [True]
    assert [OLD_READERS in change for change in changes(required, before)] == [True]


def _value(kind: Any) -> st.SearchStrategy[Any]:
    """JSON that a schema of the kind allows to be written."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is None or kind is type(None):
        return st.none()
    if hasattr(kind, "__metadata__"):
        meta = kind.__metadata__[0]
        if meta.max_length is not None:
            return st.text("ab", max_size=meta.max_length)
        return st.integers(meta.ge, meta.ge + 9)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(_value(arguments[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(st.sampled_from("xyk"), _value(arguments[1]), max_size=2)
    if origin is tuple:
        return st.tuples(*map(_value, arguments)).map(list)
    if arguments:
        return st.one_of([_value(option) for option in arguments if option is not msgspec.UnsetType])
    if issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return st.fixed_dictionaries(
            {field.name: _value(field.type) for field in fields if field.required},
            optional={field.name: _value(field.type) for field in fields if not field.required},
        )
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(-9, 9),
        str: st.text("abc", max_size=5),
        bool: st.booleans(),
        float: st.floats(-9, 9, width=16),
    }
    return simple[kind]


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), definitions)
def test_what_is_called_readable_is_read(data: Any, before: Definition) -> None:
    """Where no change is found, the other class decodes whatever is written: msgspec is the judge."""
    after = {**before, data.draw(st.sampled_from("abcd")): (data.draw(kinds), data.draw(st.booleans()))}
    old, new = made(before), made(after)
    directions: tuple[tuple[Mode, type, type], ...] = (("backward", old, new), ("forward", new, old))
    for mode, writer, reader in directions:
        if not changes(old, new, mode):
            event(f"compatible {mode}")
            msgspec.json.decode(json.dumps(data.draw(_value(writer))), type=reader)
