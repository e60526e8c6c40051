"""Readers: what the encoders wrote comes back as it was, and what cannot be read says where, not what."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypeVar
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from tidings import ConfigError, DecodeError
from tidings.events.encoders import encoder_for
from tidings.events.privacy import Personal, Secret
from tidings.events.readers import converter_for, reader_for

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


text = st.text(st.characters(exclude_categories=["Cs"]))
moments = st.datetimes(
    datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9))])
)
finite = st.floats(allow_nan=False, allow_infinity=False)
inners: st.SearchStrategy[Any] = st.fixed_dictionaries({"took": st.timedeltas(), "ratio": finite})
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "text": text,
    "number": st.integers(),
    "ratio": finite,
    "flag": st.booleans(),
    "took": st.timedeltas(),
    "maybe": st.none() | st.timedeltas(),
    "when": moments,
    "day": st.dates(),
    "hour": st.times(),
    "price": st.decimals(allow_nan=False, allow_infinity=False, places=3),
    "id": st.uuids(),
    "colour": st.sampled_from(Colour),
    "level": st.sampled_from(Level),
    "raw": text.map(str.encode),
    "tags": st.sets(text),
    "times": st.frozensets(st.timedeltas()),
    "each": st.lists(st.timedeltas()),
    "pair": st.tuples(st.timedeltas(), text),
    "by_name": st.dictionaries(text, st.timedeltas()),
    "by_time": st.dictionaries(st.timedeltas(), st.integers()),
    "anything": st.recursive(
        text | st.integers() | finite, lambda inner: st.lists(inner) | st.dictionaries(text, inner)
    ),
    "kind": st.sampled_from(["a", "b"]),
}
payloads = st.fixed_dictionaries(FIELDS)


class InnerStruct(msgspec.Struct):
    took: timedelta
    ratio: float


class Struct(msgspec.Struct, rename="camel"):
    text: str
    number: int
    ratio: float
    flag: bool
    took: timedelta
    maybe: timedelta | None
    when: datetime
    day: date
    hour: time
    price: Decimal
    id: UUID
    colour: Colour
    level: Level
    raw: bytes
    tags: set[str]
    times: frozenset[timedelta]
    each: list[timedelta]
    pair: tuple[timedelta, str]
    by_name: dict[str, timedelta]
    by_time: dict[timedelta, int]
    anything: Any
    kind: Literal["a", "b"]
    within: list[InnerStruct]


@dataclasses.dataclass
class InnerData:
    took: timedelta
    ratio: float


@dataclasses.dataclass
class Data:
    text: str
    number: int
    ratio: float
    flag: bool
    took: timedelta
    maybe: timedelta | None
    when: datetime
    day: date
    hour: time
    price: Decimal
    id: UUID
    colour: Colour
    level: Level
    raw: bytes
    tags: set[str]
    times: frozenset[timedelta]
    each: list[timedelta]
    pair: tuple[timedelta, str]
    by_name: dict[str, timedelta]
    by_time: dict[timedelta, int]
    anything: Any
    kind: Literal["a", "b"]
    within: list[InnerData]


class InnerModel(pydantic.BaseModel):
    took: timedelta
    ratio: float


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        serialize_by_alias=True, strict=True, alias_generator=lambda name: f"{name}_out"
    )
    text: str
    number: int
    ratio: float
    flag: bool
    took: timedelta
    maybe: timedelta | None
    when: datetime
    day: date
    hour: time
    price: Decimal
    id: UUID
    colour: Colour
    level: Level
    raw: bytes
    tags: set[str]
    times: frozenset[timedelta]
    each: list[timedelta]
    pair: tuple[timedelta, str]
    by_name: dict[str, timedelta]
    by_time: dict[timedelta, int]
    anything: Any
    kind: Literal["a", "b"]
    within: list[InnerModel]


class InnerDict(TypedDict):
    took: timedelta
    ratio: float


class Dict(TypedDict):
    text: str
    number: int
    ratio: float
    flag: bool
    took: timedelta
    maybe: timedelta | None
    when: datetime
    day: date
    hour: time
    price: Decimal
    id: UUID
    colour: Colour
    level: Level
    raw: bytes
    tags: set[str]
    times: frozenset[timedelta]
    each: list[timedelta]
    pair: tuple[timedelta, str]
    by_name: dict[str, timedelta]
    by_time: dict[timedelta, int]
    anything: Any
    kind: Literal["a", "b"]
    within: list[InnerDict]


def model(**fields: Any) -> Model:
    return Model.model_validate(fields, by_name=True)


KINDS: dict[str, tuple[Any, Callable[..., Any], Callable[..., Any]]] = {
    "struct": (Struct, Struct, InnerStruct),
    "dataclass": (Data, Data, InnerData),
    "model": (Model, model, InnerModel),
    "typed dict": (Dict, dict, dict),
}


@pytest.mark.parametrize(("cls", "make", "make_inner"), KINDS.values(), ids=KINDS)
@given(payloads, st.lists(inners))
def test_what_was_encoded_comes_back(
    cls: Any, make: Callable[..., Any], make_inner: Callable[..., Any], fields: Any, inner: Any
) -> None:
    payload = make(**fields, within=[make_inner(**each) for each in inner])
    data = encoder_for(cls).encode(payload)
    assert reader_for(cls)(data) == payload
    builtins = msgspec.json.decode(data)
    assert converter_for(cls)(builtins) == payload
    assert builtins == msgspec.json.decode(data), "what was decoded is not touched"


class Plain(msgspec.Struct):
    text: str = ""
    when: datetime | None = None


@dataclasses.dataclass
class PlainData:
    number: int = 0


class PlainModel(pydantic.BaseModel):
    numbers: list[float] = []
    inner: PlainModel | None = None


@given(
    st.builds(Plain, text, moments)
    | st.builds(PlainData, st.integers())
    | st.builds(PlainModel, numbers=st.lists(finite), inner=st.builds(PlainModel) | st.none())
)
def test_what_needs_no_rewriting_comes_back(payload: Any) -> None:
    cls = type(payload)
    data = encoder_for(cls).encode(payload)
    assert reader_for(cls)(data) == converter_for(cls)(json.loads(data)) == payload


def test_fields_that_are_not_known_are_ignored() -> None:
    for cls in (Plain, PlainData, PlainModel, InnerStruct, InnerModel):
        data = b'{"took": 1000, "ratio": 0.5, "new": {"a": [1]}}'
        assert not hasattr(reader_for(cls)(data), "new")
    assert reader_for(InnerDict)(data) == {"took": timedelta(microseconds=1), "ratio": 0.5}


@pytest.mark.parametrize("cls", [InnerStruct, InnerData, InnerModel])
@pytest.mark.parametrize(
    ("number", "microseconds"),
    [
        ("0", 0),
        ("90000000000", 90_000_000),
        ("-1000", -1),
        ("1499", 1),
        ("1.5e9", 1_500_000),
        ("2e3", 2),
        ('"PT1S"', 10**6),
    ],
)
def test_a_number_counts_nanoseconds(cls: Any, number: str, microseconds: int) -> None:
    found = reader_for(cls)(b'{"took": %s, "ratio": 1}' % number.encode())
    assert found.took == timedelta(microseconds=microseconds)


@pytest.mark.parametrize("cls", [InnerStruct, InnerData, InnerModel])
@pytest.mark.parametrize("number", ["1e23", "-1e400", "9" * 40, "true", "[]", "{}"])
def test_what_is_no_duration_is_refused(cls: Any, number: str) -> None:
    with pytest.raises(DecodeError, match=r"\$\.took"):
        reader_for(cls)(b'{"took": %s, "ratio": 1}' % number.encode())


def test_numbers_that_are_passed_on_keep_every_digit() -> None:
    cls: Any = msgspec.defstruct(
        "Exact", [("took", timedelta), ("price", Decimal), ("ratio", float), ("big", int)]
    )
    found = reader_for(cls)(b'{"took":0,"price":0.1000000000000000000001,"ratio":1e-7,"big":%d}' % 10**30)
    assert (found.price, found.ratio, found.big) == (Decimal("0.1000000000000000000001"), 1e-7, 10**30)


class Cat(msgspec.Struct, tag="cat"):
    age: timedelta


class Dog(msgspec.Struct, tag="dog"):
    age: int


class Row(msgspec.Struct, array_like=True, tag=True):
    took: timedelta
    number: int = 1


class Pair(NamedTuple):
    took: timedelta
    number: int = 1


class Box(msgspec.Struct, Generic[T]):
    item: T
    next: Box[T] | None = None


class Circle(pydantic.BaseModel):
    kind: Literal["circle"] = "circle"
    size: timedelta


class Square(pydantic.BaseModel):
    kind: Literal["square"] = "square"
    size: int


class Spans(pydantic.RootModel[dict[str, timedelta]]):
    pass


class Shapes(pydantic.BaseModel):
    shapes: list[Circle | Square]
    spans: Spans
    number: int | timedelta = 1
    minutes: timedelta = timedelta(0)

    @pydantic.field_serializer("minutes")
    def _minutes(self, value: timedelta) -> int:
        return value // timedelta(minutes=1)

    @pydantic.field_validator("minutes", mode="before")
    @classmethod
    def _from_minutes(cls, value: Any) -> Any:
        return timedelta(minutes=value) if isinstance(value, int) else value


class Renamed(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(serialize_by_alias=True)
    took: timedelta = pydantic.Field(
        serialization_alias="out", validation_alias=pydantic.AliasChoices("in", "inn")
    )
    name: str = pydantic.Field(serialization_alias="NAME", validation_alias="nAME")


U = TypeVar("U")


class Two(msgspec.Struct, Generic[T, U]):
    first: T
    second: U


class Filled(Two[int, timedelta]):
    third: timedelta


Zoo = msgspec.defstruct(
    "Zoo",
    [
        ("animals", list[Cat | Dog]),
        ("row", Row),
        ("pair", Pair),
        ("box", Box[timedelta]),
        ("either", int | timedelta),
        ("mixed", tuple[timedelta, ...] | None),
    ],
)


class Ways(msgspec.Struct):
    filled: Filled
    two: Two[timedelta, list[timedelta]]


@pytest.mark.parametrize(
    "payload",
    [
        Zoo(
            [Cat(timedelta(1)), Dog(5), Cat(timedelta(-1))],
            Row(timedelta(2)),
            Pair(timedelta(3)),
            Box(timedelta(4), Box(timedelta(5))),
            7,
            (timedelta(6),),
        ),
        Shapes(
            shapes=[Circle(size=timedelta(1)), Square(size=5)],
            spans=Spans({"a": timedelta(2)}),
            minutes=timedelta(minutes=9),
        ),
        Spans({"a": timedelta(1)}),
        Renamed.model_validate({"in": timedelta(1), "nAME": "n"}),
        Row(timedelta(1), 2),
        Ways(Filled(1, timedelta(1), timedelta(2)), Two(timedelta(3), [timedelta(4)])),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_the_annotation_says_what_a_number_is(payload: Any) -> None:
    data = encoder_for(type(payload)).encode(payload)
    assert reader_for(type(payload))(data) == payload
    assert converter_for(type(payload))(json.loads(data)) == payload


@pytest.mark.parametrize("name", ["took", "out", "in", "inn"])
def test_a_model_is_found_under_all_its_names(name: str) -> None:
    found = reader_for(Renamed)(b'{"%s": 1000, "name": "n"}' % name.encode())
    assert found.took == timedelta(microseconds=1)


Hidden = Annotated[str, Secret]
Optional = Annotated[int | None, Secret]
Bytes = Annotated[bytes, Secret]
Defaulted = Annotated[int, Secret]
Dropped = Annotated[str, Personal(on_wire="drop")]


class SecretStruct(msgspec.Struct, rename="camel"):
    pass_word: Hidden
    maybe: Optional
    raw: Bytes
    dropped: Dropped
    number: Defaulted = 5
    within: SecretStruct | None = None
    pair: tuple[Hidden, int] = ("", 0)


@dataclasses.dataclass
class SecretData:
    pass_word: Hidden
    maybe: Optional
    raw: Bytes
    dropped: Dropped
    number: Defaulted = 5
    within: SecretData | None = None
    pair: tuple[Hidden, int] = ("", 0)


class SecretModel(pydantic.BaseModel):
    pass_word: Hidden = pydantic.Field(alias="passWord")
    maybe: Optional
    raw: Bytes
    dropped: Dropped
    number: Defaulted = 5
    within: SecretModel | None = None
    pair: tuple[Hidden, int] = ("", 0)


class SecretDict(TypedDict):
    pass_word: Hidden
    maybe: Optional
    raw: Bytes
    dropped: Dropped
    number: NotRequired[Defaulted]
    within: NotRequired[SecretDict | None]
    pair: NotRequired[tuple[Hidden, int]]


SECRETIVE: list[Any] = [SecretStruct, SecretData, SecretModel, SecretDict]


@pytest.mark.parametrize("cls", SECRETIVE)
def test_what_is_not_on_the_wire_is_blank_or_the_default(cls: Any) -> None:
    name = "passWord" if cls is SecretModel else "pass_word"

    def filled(**fields: Any) -> Any:
        return cls(**{name: "x"}, maybe=1, raw=b"x", dropped="x", number=7, pair=("x", 3), **fields)

    def blank(**fields: Any) -> Any:
        default = {} if cls is SecretDict else {"number": 5}
        return cls(**{name: ""}, maybe=None, raw=b"", dropped="", pair=("", 3), **default, **fields)

    data = encoder_for(cls).encode(filled(within=filled(within=None)))
    assert b"x" not in data.replace(b"x" * 2, b"")
    assert reader_for(cls)(data) == blank(within=blank(within=None))
    assert converter_for(cls)(json.loads(data)) == blank(within=blank(within=None))


@pytest.mark.parametrize(
    ("cls", "data", "said"),
    [
        (Plain, b'{"text": 5}', "Plain: Expected `str`, got `int` - at `$.text`"),
        (Plain, b'{"text": ', "Plain: Input data was truncated"),
        (Plain, b'{"text": "\xff"}', "Plain: UnicodeDecodeError"),
        (Plain, b"[" * 100_000, "Plain: "),
        (PlainData, b"5", "PlainData: Expected `object`, got `int`"),
        (PlainModel, b'{"inner": {"numbers": [1, "x"]}}', "should be a valid number"),
        (PlainModel, b'{"inner": {"numbers": [1, "x"]}}', "- at `$.inner.numbers[1]`"),
        (PlainModel, b'{"numbers": ["a", "b", "c", "d", "e"]}', "and 2 more"),
        (PlainModel, b"no json", "Invalid JSON"),
        (InnerDict, b'{"took": 5}', "InnerDict: Object missing required field `ratio`"),
        (InnerModel, b'{"took": "x"}', "$.took"),
        (Zoo, b'{"animals": [{"type": "cow"}]}', "Invalid value 'cow' - at `$.animals[0].type`"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(cls: Any, data: bytes, said: str) -> None:
    with pytest.raises(DecodeError) as raised:
        reader_for(cls)(data)
    assert said in str(raised.value)
    assert raised.value.__context__ is None


class Fussy(msgspec.Struct):
    name: Annotated[str, Personal]
    kind: Literal["a"] = "a"
    took: timedelta = timedelta(0)
    others: Annotated[dict[str, int], Personal] = {}

    def __post_init__(self) -> None:
        if self.name.startswith("no"):
            raise ValueError(f"not {self.name} - at `$.canary`")


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, Personal] = ""


class FussyModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    name: Annotated[str, Personal]
    kind: Literal["a"] = "a"
    others: Annotated[dict[str, int], Personal] = {}
    inner: FussyModel | None = None

    @pydantic.field_validator("name")
    @classmethod
    def _check(cls, name: str) -> str:
        if name == "canary-key":
            raise KeyError(name)
        if name.startswith("no"):
            raise ValueError(f"not {name}")
        return name


@pytest.mark.parametrize(
    ("cls", "data", "said"),
    [
        (Fussy, '{"name": "no canary"}', "Fussy: ValueError"),
        (Fussy, '{"name": "x", "kind": "canary"}', "Fussy: Invalid enum value - at `$.kind`"),
        (
            Fussy,
            '{"name": "x", "others": {"canary": "canary"}}',
            "Expected `int`, got `str` - at `$.others[...]`",
        ),
        (list, '{"name": "x"}', "Expected `array`"),
        (Strict, '{"name": "x", "canary": 1}', "Strict: Object contains unknown field"),
        (FussyModel, '{"name": "no canary"}', "FussyModel: value_error - at `$.name`"),
        (FussyModel, '{"name": "canary-key"}', "FussyModel: KeyError"),
        (FussyModel, '{"name": "x", "kind": "canary"}', "literal_error - at `$.kind`"),
        (FussyModel, '{"name": "x", "canary": "canary"}', "extra_forbidden - at `$[...]`"),
        (FussyModel, '{"name": "x", "others": {"canary": "canary"}}', "int_parsing - at `$.others[...]`"),
        (FussyModel, '{"name": "x", "inner": {"name": 5}}', "string_type - at `$.inner.name`"),
    ],
)
def test_no_error_shows_what_is_marked(cls: Any, data: str, said: str) -> None:
    for read, form in ((reader_for(cls), data.encode()), (converter_for(cls), json.loads(data))):
        with pytest.raises(DecodeError) as raised:
            read(form)
        assert said in str(raised.value)
        assert "canary" not in repr(raised.value)
        assert raised.value.__context__ is None
        assert raised.value.__cause__ is None


def test_a_class_that_cannot_be_read_is_refused_by_name() -> None:
    first, second = msgspec.defstruct("First", ["a"]), msgspec.defstruct("Second", ["a"])
    untagged = msgspec.defstruct("Untagged", [("either", first | second)])
    for make in (reader_for, converter_for):
        with pytest.raises(ConfigError, match="Untagged cannot be read from JSON"):
            make(untagged)


def test_readers_are_made_once() -> None:
    assert reader_for(Struct) is reader_for(Struct)
    assert converter_for(Struct) is converter_for(Struct)
