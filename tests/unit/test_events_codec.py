"""The codec: any JSON-able value to bytes, or an InvalidEvent that names the field's path."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings import InvalidEvent, Publisher, correlation
from tidings.events.codec import to_json
from tidings.testing import InMemoryTransport

NAN = math.nan
text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=20
)


class Point(msgspec.Struct):
    x: Any = 0
    y: Any = 0


@dataclasses.dataclass
class Place:
    name: Any
    point: Any = None


class Level(enum.Enum):
    HIGH = 1.5
    LOST = math.inf


@given(json_values)
def test_json_values_come_back_as_they_went(value: Any) -> None:
    assert json.loads(to_json(value)) == value


@given(json_values, st.sampled_from([NAN, math.inf, -math.inf, Level.LOST]), st.data())
def test_nan_and_infinity_are_found_wherever_they_hide(value: Any, bad: object, data: st.DataObject) -> None:
    holder = data.draw(
        st.sampled_from(
            [
                [value, bad],
                {"first": value, "second": {"third": bad}},
                {"point": Point(value, bad)},
                (None, Place("x", [bad])),
                Place(Point(1, {"deep": [bad]})),
            ]
        )
    )
    with pytest.raises(InvalidEvent, match=r"(nan|inf), which JSON cannot carry"):
        to_json(holder)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), "$ "),
        ({"items": [1, {"price": object()}]}, "$.items[1].price "),
        ({"a": Point(1, {2: object()})}, "$.a.y[2] "),
        (Place("x", [Place(object())]), "$.point[0].name "),
        ({"two words": {1j}}, "$['two words'][0] "),
        ({"a": NAN}, "$.a is nan"),
        ([Point(y=[1, NAN])], "$[0].y[1] is nan"),
        ({"a": lambda: 0}, "$.a is a function"),
    ],
)
def test_the_path_of_the_field_is_named(value: object, path: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        to_json(value)
    assert str(raised.value).startswith(path)


@pytest.mark.parametrize(
    "value",
    [
        "\ud800",
        ["a", "\udfff"],
        {"a": {"b": "x\ud800y"}},
        {"\ud800": 1},
        {"\ud800": object()},
        Point("\ud800"),
    ],
)
def test_lone_surrogates_are_refused_in_words_that_can_be_printed(value: object) -> None:
    with pytest.raises(InvalidEvent, match="lone surrogate") as raised:
        to_json(value)
    str(raised.value).encode()


@pytest.mark.parametrize("key", [None, True, (1, 2), 3j])
def test_keys_that_json_has_no_form_of_are_refused(key: object) -> None:
    with pytest.raises(InvalidEvent, match="not a string"):
        to_json({"ok": {key: 1}})


def _nested(depth: int, kind: type, innermost: object = 1) -> Any:
    value = innermost
    for _ in range(depth):
        value = [value] if kind is list else {"x": value}
    return value


@pytest.mark.parametrize("kind", [list, dict])
def test_what_contains_itself_is_refused(kind: type) -> None:
    knot = _nested(3, kind)
    innermost = knot
    while isinstance(inner := innermost[0] if kind is list else innermost["x"], kind):
        innermost = inner
    innermost[0 if kind is list else "x"] = knot
    with pytest.raises(InvalidEvent, match="nested deeper than 200 levels, or contains itself"):
        to_json(knot)


def test_a_struct_that_contains_itself_is_refused() -> None:
    point = Point()
    point.y = [point]
    with pytest.raises(InvalidEvent, match="contains itself"):
        to_json({"p": point})


@pytest.mark.parametrize("kind", [list, dict])
def test_very_deep_values_are_refused_and_deep_ones_are_not(kind: type) -> None:
    with pytest.raises(InvalidEvent, match="nested deeper") as raised:
        to_json(_nested(100_000, kind))
    assert len(str(raised.value)) < 500
    for innermost in (1, None):  # None: every null is looked at, to see whether it was a NaN
        assert json.loads(to_json(_nested(250, kind, innermost))) == _nested(250, kind, innermost)
    with pytest.raises(InvalidEvent, match="nan"):
        to_json(_nested(250, kind, NAN))


def test_null_alone_is_no_fault() -> None:
    assert (
        to_json({"a": None, "b": [None], "c": Point(None)}) == b'{"a":null,"b":[null],"c":{"x":null,"y":0}}'
    )


def test_the_types_json_has_no_word_for_are_written_as_text() -> None:
    value = {
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "id": UUID(int=7),
        "price": Decimal("1.50"),
        "tags": frozenset({1}),
        "level": Level.HIGH,
    }
    assert json.loads(to_json(value)) == {
        "when": "2026-01-02T00:00:00Z",
        "id": "00000000-0000-0000-0000-000000000007",
        "price": "1.50",
        "tags": [1],
        "level": 1.5,
    }


def test_a_struct_with_a_deleted_field_is_refused() -> None:
    point = Point(1, 2)
    del point.x
    with pytest.raises(InvalidEvent):
        to_json(point)


@given(st.integers())
def test_integers_of_any_size_stay_exact(number: int) -> None:
    assert json.loads(to_json([number])) == [number]


def test_a_number_python_will_not_write_is_refused() -> None:
    with pytest.raises(InvalidEvent, match=r"^\$\.n "):
        to_json({"n": 10**5000})


class Bill(pydantic.BaseModel):
    total: Decimal
    due: datetime


def test_a_pydantic_model_is_written_as_publish_writes_its_data() -> None:
    bill = Bill(total=Decimal("4.20"), due=datetime(2026, 1, 2, tzinfo=UTC))
    kafka = InMemoryTransport()
    with Publisher(transport=kafka) as publisher:
        publisher.publish(bill, event_type="bill.sent", topic="enveloped")
        publisher.publish_json("bare", bill)
        publisher.send_message("bare", "k", bill)
        publisher.sender("bare").send("k", bill)
    (enveloped,) = kafka.events("enveloped")
    assert kafka.events("bare") == [enveloped["data"]] * 3
    with pytest.raises(InvalidEvent, match="due"):
        to_json(Bill.model_construct(total=Decimal(1)))


class Safe(str):
    __slots__ = ()


class Count(int):
    pass


class Ratio(float):
    pass


def test_strings_and_numbers_of_ones_own_are_what_they_are_by_their_base() -> None:
    """Django's SafeString is a str."""
    value = {Safe("html"): Safe("<b>"), "count": Count(3), "ratio": Ratio(1.5)}
    assert to_json(value) == b'{"html":"<b>","count":3,"ratio":1.5}'
    with pytest.raises(InvalidEvent, match=r"\$\.ratio is nan"):
        to_json({"ratio": Ratio("nan")})
    transport = InMemoryTransport()
    with Publisher(transport=transport) as publisher, correlation(Safe("req-1")):
        publisher.publish(value, event_type=Safe("page.made"), event_id=Safe("e-1"), key=Safe("k"))
    (envelope,) = transport.events()
    assert (envelope["event_id"], envelope["correlation_id"]) == ("e-1", "req-1")
