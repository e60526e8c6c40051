"""Typed events: what their fields hold is what their classes declare, or they are refused."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Union
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.ids import named
from tidings import InvalidEvent
from tidings.events.encoders import encoder_for

NAN = math.nan


class Colour(enum.Enum):
    RED = "red"


OddName = enum.Enum("odd name", {"A": "a"})  # type: ignore[misc]


class Flat(msgspec.Struct):
    """Plain fields: checked by their exact classes."""

    text: str = ""
    number: int = 0
    ratio: float = 0.0
    maybe: float | None = None
    flag: bool = False
    colour: Colour = Colour.RED


class Line(msgspec.Struct):
    price: float


class Nested(msgspec.Struct):
    """Fields that only decoding can check."""

    lines: list[Line] = []
    anything: Any = None
    kind: Literal["a", "b"] = "a"
    size: Annotated[int, msgspec.Meta(gt=0)] = 1


@dataclasses.dataclass
class Record:
    text: str = ""
    values: list[float] = dataclasses.field(default_factory=list)


class Inner(pydantic.BaseModel):
    ratio: float = 0.0


class Model(pydantic.BaseModel):
    number: int
    ratio: float = 0.0
    inner: Inner | None = None
    anything: Any = None


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")


class Computed(pydantic.BaseModel):
    total: float = 0.0

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def share(self) -> float:
        return self.total / 2


class Constants(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(ser_json_inf_nan="constants")
    ratio: Any


class Strings(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(ser_json_inf_nan="strings")
    ratio: float
    nothing: None = None


class Secretive(pydantic.BaseModel):
    hidden: float = pydantic.Field(default=NAN, exclude=True)
    nothing: None = None


def encoded(payload: Any) -> Any:
    return json.loads(encoder_for(type(payload)).encode(payload), parse_constant=pytest.fail)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**63), 2**63 - 1), st.floats())
def test_flat_structs_say_what_they_hold(text: str, number: int, ratio: float) -> None:
    payload = Flat(text, number, ratio)
    if math.isfinite(ratio):
        assert encoded(payload) == {
            "text": text,
            "number": number,
            "ratio": ratio,
            "maybe": None,
            "flag": False,
            "colour": "red",
        }
    else:
        with pytest.raises(InvalidEvent, match=r"^\$\.ratio is -?(nan|inf)"):
            encoded(payload)


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        (Flat(text=5), "$.text"),  # type: ignore[arg-type]
        (Flat(text=None), "$.text"),  # type: ignore[arg-type]
        (Flat(number="5"), "$.number"),  # type: ignore[arg-type]
        (Flat(number=True), "$.number"),
        (Flat(number=1.5), "$.number"),  # type: ignore[arg-type]
        (Flat(ratio="x"), "$.ratio"),  # type: ignore[arg-type]
        (Flat(ratio=True), "$.ratio"),
        (Flat(flag=1), "$.flag"),  # type: ignore[arg-type]
        (Flat(flag=None), "$.flag"),  # type: ignore[arg-type]
        (Flat(colour="blue"), "$.colour"),  # type: ignore[arg-type]
        (Flat(maybe=NAN), "$.maybe"),
        (Flat(maybe=math.inf), "$.maybe"),
        (Flat(text="\ud800"), "$.text"),
        (Flat(text=object()), "$.text"),  # type: ignore[arg-type]
        (Nested(lines=[Line(1.0), Line("x")]), "$.lines[1].price"),  # type: ignore[arg-type]
        (Nested(lines=[Line(1.0), Line(NAN)]), "$.lines[1].price"),
        (Nested(lines=[5]), "$.lines[0]"),  # type: ignore[list-item]
        (Nested(lines=None), "$.lines"),  # type: ignore[arg-type]
        (Nested(anything={"a": [NAN]}), "$.anything.a[0]"),
        (Nested(anything=object()), "$.anything"),
        (Nested(kind="c"), "$.kind"),  # type: ignore[arg-type]
        (Nested(size=0), "$.size"),
        (Record(text=5), "$.text"),  # type: ignore[arg-type]
        (Record(values=[1.0, NAN]), "$.values[1]"),
        (Record(values=[1.0, "x"]), "$.values[1]"),  # type: ignore[list-item]
    ],
)
def test_a_wrong_value_is_refused_by_its_path(payload: object, path: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        encoded(payload)
    assert path in str(raised.value)


def test_right_values_of_checked_classes_pass() -> None:
    assert encoded(Nested([Line(1)], [None], "b", 2)) == {
        "lines": [{"price": 1}],
        "anything": [None],
        "kind": "b",
        "size": 2,
    }
    assert encoded(Record("x", [1.0])) == {"text": "x", "values": [1.0]}
    assert encoded(Flat(ratio=1)) == {**encoded(Flat()), "ratio": 1}, "an int is a float in JSON"


def test_plain_classes_that_are_written_as_text() -> None:
    cls = msgspec.defstruct(
        "Plain", [("a", datetime), ("b", date), ("c", UUID), ("d", Decimal), ("e", bytes)]
    )
    payload = cls(datetime(2026, 1, 2, tzinfo=UTC), date(2026, 1, 2), UUID(int=1), Decimal("0.10"), b"\xff")
    assert encoded(payload)["d"] == "0.10"
    with pytest.raises(InvalidEvent, match=r"\$\.c"):
        encoded(cls(datetime(2026, 1, 2, tzinfo=UTC), date(2026, 1, 2), "no uuid", Decimal(1), b""))


def test_names_that_are_no_identifiers_are_no_trouble() -> None:
    cls = msgspec.defstruct("Odd", [("class", int), ("enum", OddName)])
    assert encoded(cls(1, OddName.A)) == {"class": 1, "enum": "a"}
    with pytest.raises(InvalidEvent, match=r"\$\.class"):
        encoded(cls("x", OddName.A))
    assert encoded(msgspec.defstruct("Empty", [])()) == {}


def test_classes_that_cannot_be_checked_are_refused_by_name() -> None:
    first, second = msgspec.defstruct("First", ["a"]), msgspec.defstruct("Second", ["a"])
    untagged = msgspec.defstruct("Untagged", [("either", Union[first, second])])  # noqa: UP007
    nowhere = msgspec.defstruct("Nowhere", [("field", "NoSuchType")])
    for cls in (untagged, nowhere):
        with pytest.raises(InvalidEvent, match=f"the fields of {cls.__qualname__} cannot be checked"):
            encoder_for(cls)


@pytest.mark.parametrize(
    "payload",
    [
        Model.model_construct(number="x"),
        Model.model_construct(number=None),
        Model.model_construct(ratio=1.0),
        Model.model_construct(number=1, ratio=None),
        Model.model_construct(number=1, inner={"ratio": "x"}),
        Model(number=1, ratio=NAN),
        Model(number=1, inner=Inner(ratio=math.inf)),
        Model(number=1, anything={"a": [NAN]}),
        Model(number=1, anything=[Inner(ratio=NAN)]),
        Model(number=1, anything=object()),
        Model(number=1, anything="\ud800"),
        Open(extra=NAN),  # type: ignore[call-arg]
        Computed(total=math.inf),
        Constants(ratio=NAN),
        Constants(ratio=[{"a": -math.inf}]),
    ],
    ids=named,
)
def test_models_that_were_not_validated_or_are_not_finite_are_refused(payload: object) -> None:
    with pytest.raises(InvalidEvent):
        encoded(payload)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InvalidEvent, match="Model: no value for number"):
        encoded(Model.model_construct())


def test_models_that_are_right_pass() -> None:
    assert encoded(Model(number=1, inner=Inner(ratio=0.5))) == {
        "number": 1,
        "ratio": 0.0,
        "inner": {"ratio": 0.5},
        "anything": None,
    }
    assert encoded(Model(number=1, inner=None)) == {**encoded(Model(number=1)), "inner": None}
    assert encoded(Secretive()) == {"nothing": None}, "what is not written may be anything"
    assert encoded(Strings(ratio=NAN)) == {"ratio": "NaN", "nothing": None}, "the model's own words for it"
    assert encoded(Constants(ratio=None)) == {"ratio": None}
