"""Privacy: Secret values are nowhere, Personal ones where they must be, no text for people shows either."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypeVar
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeAliasType, TypedDict

from tidings import ConfigError, InvalidEvent
from tidings.events.codec import to_json
from tidings.events.encoders import encoder_for
from tidings.events.privacy import (
    Personal,
    Secret,
    check_marks,
    has_marks,
    hide_in_repr,
    mark_of,
    mask,
    masked_text,
    value_on_wire,
)

T = TypeVar("T")

SECRET, NAME, EMAIL, CARD, PHONE, CODE = (
    "canary-secret",
    "canary-name",
    "canary@email",
    "canary-4000-1234",
    "canary-phone",
    "canary-code",
)
HASH = hashlib.sha256(EMAIL.encode()).hexdigest()


def backwards(text: str) -> str:
    return text[::-1]


Name = Annotated[str, Personal]
Hidden = Annotated[str, Secret]
Email = Annotated[str, Personal(on_wire="hash")]
Card = NewType("Card", str)
Code = Annotated[str, Personal(on_wire=backwards)]


class Struct(msgspec.Struct):
    number: int
    name: Name
    password: Annotated[str | None, Secret()]
    email: Email
    card: Annotated[Card, Personal(on_wire="last4")]
    phone: Annotated[str | None, Personal(on_wire="drop")]
    codes: list[Code]
    keys: list[Hidden]
    by_name: dict[str, Hidden | None]
    pair: tuple[Hidden, Name]
    within: Struct | None = None
    plain: Any = None


@dataclasses.dataclass
class Data:
    number: int
    name: Name
    password: Annotated[str | None, Secret()]
    email: Email
    card: Annotated[Card, Personal(on_wire="last4")]
    phone: Annotated[str | None, Personal(on_wire="drop")]
    codes: list[Code]
    keys: list[Hidden]
    by_name: dict[str, Hidden | None]
    pair: tuple[Hidden, Name]
    within: Data | None = None
    plain: Any = None


class Model(pydantic.BaseModel):
    number: int
    name: Name
    password: Annotated[str | None, Secret()]
    email: Email
    card: Annotated[Card, Personal(on_wire="last4")]
    phone: Annotated[str | None, Personal(on_wire="drop")]
    codes: list[Code]
    keys: list[Hidden]
    by_name: dict[str, Hidden | None]
    pair: tuple[Hidden, Name]
    within: Model | None = None
    plain: Any = None


class Dict(TypedDict):
    number: int
    name: Name
    password: Annotated[str | None, Secret()]
    email: Email
    card: Annotated[Card, Personal(on_wire="last4")]
    phone: Annotated[str | None, Personal(on_wire="drop")]
    codes: list[Code]
    keys: list[Hidden]
    by_name: dict[str, Hidden | None]
    pair: tuple[Hidden, Name]
    within: NotRequired[Dict | None]
    plain: NotRequired[Any]


CLASSES: list[Any] = [Struct, Data, Model, Dict]
classes = pytest.mark.parametrize("cls", CLASSES)


def filled(cls: Any, **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "number": 7,
        "name": NAME,
        "password": SECRET,
        "email": EMAIL,
        "card": CARD,
        "phone": PHONE,
        "codes": [CODE],
        "keys": [SECRET, SECRET],
        "by_name": {"a": SECRET, "b": None},
        "pair": (SECRET, NAME),
        "within": None,
        "plain": None,
    }
    return cls(**(fields | changes))


def unchecked(cls: Any, **changes: Any) -> Any:
    payload = filled(cls)
    if cls is Dict:
        return payload | changes
    return payload.model_copy(update=changes) if cls is Model else _replaced(payload, changes)


def _replaced(payload: Any, changes: dict[str, Any]) -> Any:
    for name, value in changes.items():
        setattr(payload, name, value)
    return payload


def shows(thing: object) -> bool:
    return "canary" in f"{thing}{thing!r}".lower()


ON_WIRE = {
    "number": 7,
    "name": NAME,
    "email": HASH,
    "card": "************1234",
    "codes": [CODE[::-1]],
    "keys": [],
    "by_name": {},
    "pair": ["", NAME],
    "within": None,
    "plain": None,
}
MASKED = {
    "number": 7,
    "name": "***",
    "password": "***",
    "email": "***",
    "card": "***",
    "phone": "***",
    "codes": ["***"],
    "keys": ["***", "***"],
    "by_name": {"a": "***", "b": None},
    "pair": ["***", "***"],
    "within": None,
    "plain": None,
}


@classes
def test_the_wire_has_what_the_marks_say_at_any_depth(cls: Any) -> None:
    encode = encoder_for(cls).encode
    assert json.loads(encode(filled(cls))) == ON_WIRE
    nested = filled(cls, within=filled(cls, within=filled(cls)))
    assert json.loads(encode(nested)) == ON_WIRE | {"within": ON_WIRE | {"within": ON_WIRE}}
    assert encoder_for(cls).is_exact is None
    assert json.loads(encode(filled(cls, password=None, phone=None, codes=[]))) == ON_WIRE | {"codes": []}


@classes
def test_a_mask_shows_nothing_that_is_marked(cls: Any) -> None:
    assert mask(filled(cls), cls) == MASKED
    assert mask(filled(cls, within=filled(cls)), cls) == MASKED | {"within": MASKED}
    assert mask(filled(cls, password=None), cls) == MASKED | {"password": None}
    times = {
        "took": timedelta(seconds=1),
        "at": datetime(2026, 1, 1),
        "utc": datetime(2026, 1, 1, tzinfo=UTC),
    }
    assert mask(filled(cls, plain=times), cls)["plain"] == {
        "took": 1_000_000_000,
        "at": "2026-01-01T00:00:00",
        "utc": "2026-01-01T00:00:00Z",
    }


@pytest.mark.parametrize("cls", CLASSES[:3])
def test_an_instance_needs_no_class_and_hides_in_anything(cls: Any) -> None:
    assert mask(filled(cls)) == MASKED
    holder = (
        filled(Struct, plain={"list": [filled(cls)]})
        if cls is not Model
        else filled(Model, plain=[filled(cls)])
    )
    assert not shows(mask(holder))
    data = encoder_for(type(holder)).encode(holder)
    assert SECRET.encode() not in data
    assert PHONE.encode() not in data
    assert data.count(HASH.encode()) == 2


class Holder(msgspec.Struct):
    held: Any
    more: dict[str, Any]


containers = st.recursive(
    st.sampled_from([Struct, Data]).map(filled) | st.integers() | st.just(UUID(int=1)),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text("ab"), inner)
        | st.tuples(inner, inner)
        | st.builds(Holder, inner, st.just({}))
    ),
)


@given(containers)
def test_no_container_lets_a_secret_through(held: Any) -> None:
    for data in (
        to_json({"held": held}),
        to_json(held),
        encoder_for(Holder).encode(Holder(held, {"x": held})),
    ):
        assert SECRET.encode() not in data
        assert EMAIL.encode() not in data
    assert not shows(mask({"held": held}))
    assert not shows(masked_text(repr(held), held))


@pytest.mark.parametrize("cls", [Struct, Data, Model])
def test_a_repr_shows_nothing_that_is_marked(cls: Any) -> None:
    base: Any = type("Shown", (cls,), {"__repr__": lambda self: self.password, "__module__": __name__})
    shown: Any = hide_in_repr(base)
    assert shown is base
    payload = filled(shown, within=filled(cls), plain=[{"in": (filled(cls), {1}, "plain")}, filled(cls)])
    for text in (repr(payload), str(payload), f"{payload}", f"{[payload]}"):
        assert not shows(text)
        assert text.count("number=7") == 4
        assert "password='***'" in text
        assert "by_name={'a': '***', 'b': None}" in text
        assert "pair=('***', '***')" in text
        assert "'plain')" in text
    pairs = payload.__repr_args__() if cls is Model else payload.__rich_repr__()
    assert not shows(list(pairs)), "rich and pydantic's printers"


def test_a_repr_keeps_what_else_a_class_says_of_it() -> None:
    @hide_in_repr
    @dataclasses.dataclass
    class Quiet:
        number: int = dataclasses.field(repr=False)
        name: Name = ""
        child: Any = None

    quiet = Quiet(1, NAME)
    quiet.child = [quiet, {"set": {1}}]
    assert repr(quiet) == "Quiet(name='***', child=[..., {'set': {1}}])"
    plain = hide_in_repr(msgspec.defstruct("Plain", [("a", int)]))
    assert "__repr__" not in vars(plain), "nothing is marked"


class Post(msgspec.Struct):
    name: Name
    kind: Literal["a"] = "a"
    size: Annotated[int, msgspec.Meta(gt=0)] = 1

    def __post_init__(self) -> None:
        if self.kind == "a" and self.size == 13:
            raise ValueError(f"{self.name.upper()} - at `$.canary`")


class Fussy(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: Annotated[Any, Personal]
    number: int = 0
    scores: Annotated[dict[str, float], Personal] = {}
    inner: Fussy | None = None

    @pydantic.field_serializer("name")
    def _shout(self, value: Any) -> Any:
        if value == NAME:
            raise ValueError(f"no {value.upper()}")
        return value


class Any_(pydantic.BaseModel):  # noqa: N801
    held: Any = None


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")


def failing(text: str) -> str:
    raise ValueError(f"no {text}")


class Failing(msgspec.Struct):
    name: Annotated[str, Personal(on_wire=failing)]


class Odd(msgspec.Struct):
    name: Annotated[Any, Personal]
    wish: Annotated[str | None, Personal(on_wire=lambda text: {text: object()})] = None
    scores: Annotated[dict[Any, Any], Secret] = {}
    more: Any = None


WRONG: list[tuple[Any, Any, str]] = [
    *((cls, unchecked(cls, password=[SECRET]), "password") for cls in CLASSES),
    *((cls, unchecked(cls, number=SECRET), "number") for cls in CLASSES),
    *((cls, unchecked(cls, codes={CODE: 1}), "codes") for cls in CLASSES),
    *((cls, unchecked(cls, name=f"{NAME}\ud800"), "name") for cls in CLASSES),
    *((cls, unchecked(cls, by_name={SECRET: object()}), "by_name") for cls in CLASSES),
    *((cls, unchecked(cls, within=SECRET), "within") for cls in CLASSES),
    (Post, Post(NAME, kind=NAME), "$.kind"),  # type: ignore[arg-type]
    (Post, Post(NAME, size=0), "$.size"),
    (Post, _replaced(Post(NAME), {"size": 13}), "Post: ValueError"),
    (Any_, Any_(held=[Fussy(name=NAME)]), "$.held[0].name cannot be written"),
    (Any_, Any_(held=Fussy(name="x", scores={SECRET: float("nan")})), "$.held.scores['***']"),
    (Fussy, Fussy.model_construct(name="x", number=SECRET), "$.number is of type str, not int"),
    (Fussy, Fussy(name=NAME), "$.name cannot be written"),
    (Fussy, Fussy(name="x", inner=Fussy(name=NAME)), "$.inner.name cannot be written"),
    (Fussy, Fussy(name="x", scores={SECRET: float("nan")}), "$.scores['***']"),
    (Fussy, Fussy.model_construct(name="x", scores={SECRET: SECRET}), "$.scores is of type dict"),
    (Failing, Failing(NAME), "Failing.name cannot be written"),
    (Odd, Odd(object()), "$.name holds what JSON cannot carry (marked, so not shown)"),
    (Odd, Odd({(NAME, NAME): 1}), "$.name holds what"),
    (Odd, Odd({NAME: {"deep": [float("nan")]}}), "$.name holds what"),
    (Odd, Odd({NAME: datetime(2026, 1, 1)}), "has no time zone"),
    (Odd, Odd("", NAME), "Odd.wish cannot be written"),
    (Odd, Odd("", scores={SECRET * 30: object()}), "$.scores holds what"),
]


@pytest.mark.parametrize(
    ("cls", "payload", "said"), WRONG, ids=[f"{cls.__name__}-{said[:12]}" for cls, _, said in WRONG]
)
def test_no_error_shows_what_is_marked(cls: Any, payload: Any, said: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        encoder_for(cls).encode(payload)
    error = raised.value
    assert said in str(error)
    assert error.__context__ is None, "a log may follow it, suppressed or not"
    assert error.__cause__ is None
    assert not shows(error)
    assert not shows(error.args)
    shown = traceback.TracebackException.from_exception(error, capture_locals=False)
    assert not shows("".join(line for line in shown.format() if "WRONG" not in line))


def test_no_error_of_a_dict_shows_what_is_marked_inside() -> None:
    for payload in (
        {"a": Odd({NAME: object()})},
        {"a": [Odd({NAME: datetime(2026, 1, 1)})]},
        [Failing(NAME)],
    ):
        with pytest.raises(InvalidEvent) as raised:
            to_json(payload)
        assert not shows(raised.value)
        assert raised.value.__context__ is None


@given(st.text(min_size=3), st.integers() | st.floats(allow_nan=False), st.text())
def test_a_masked_text_repeats_no_marked_value(secret: str, number: float, around: str) -> None:
    @dataclasses.dataclass
    class Payload:
        secret: Annotated[Any, Secret]
        number: Annotated[float, Personal]
        other: int = 5

    for payload in (Payload(secret, number), Payload({"k": [secret]}, number), Payload({secret: 1}, number)):
        forms = [secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], str(number)]
        text = masked_text(f"{around}{' '.join(forms)}", payload)
        for form in forms:
            assert len(form) < 3 or form in "***" * 3 or form not in text


def test_the_longest_value_is_masked_first() -> None:
    payload = msgspec.defstruct("P", [("a", Name), ("b", list[Name]), ("c", Hidden)])(
        "abc", ["abcdef"], "bcdefg"
    )
    assert masked_text("abcdef abc", payload) == "*** ***"


def test_what_is_short_or_unmarked_stays_in_a_text() -> None:
    payload = msgspec.defstruct("P", [("a", Name), ("b", Name), ("c", str)])("ab", "abcd", "order 5")
    assert masked_text("ab, abcd and order 5", payload) == "ab, *** and order 5"
    assert masked_text("canary-secret", filled(Dict), Dict) == "***"
    assert masked_text("canary-secret", filled(Dict)) == "canary-secret", "a dict says nothing of itself"


def test_a_mask_takes_whatever_it_gets() -> None:
    knot: list[Any] = []
    knot.append(knot)
    assert mask(knot) == "<list>"
    assert mask(Holder(object(), {"x": Odd(object())})) == {
        "held": "<object>",
        "more": {"x": {"name": "***", "wish": None, "scores": "***", "more": None}},
    }
    assert mask(Fussy.model_construct(name="x", number=object())) == {
        "name": "***",
        "number": "<object>",
        "scores": "***",
        "inner": None,
    }
    assert mask({1: "plain"}) == {1: "plain"}
    assert mask(5) == 5


class Named(msgspec.Struct, rename="camel", tag_field="@", tag="n", omit_defaults=True):
    user_name: Name = "nobody"
    pass_word: Hidden = "nothing"
    odd: Annotated[str, Personal(on_wire="last4")] = msgspec.field(default="", name="the odd")


class Row(msgspec.Struct, array_like=True, tag=True):
    number: int
    password: Hidden
    name: Code


class Both(msgspec.Struct, tag_field="@", tag="both"):
    token: Hidden = ""


class Pair(NamedTuple):
    password: Hidden
    number: int = 1


class Box(msgspec.Struct, Generic[T]):
    item: T
    items: list[T] = []


class Case(msgspec.Struct, Generic[T]):
    item: T


class SecretBox(Box[Annotated[str, Secret]]):
    pass


class Again(Box[Hidden], Generic[T]):
    other: T | None = None


class Late(msgspec.Struct):
    base: Base


class Base(msgspec.Struct):
    number: int = 1


class Derived(Base):
    password: Hidden = ""


class Root(pydantic.RootModel[list[Code]]):
    pass


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(serialize_by_alias=True, extra="allow", populate_by_name=True)
    name: Annotated[str, Personal(on_wire="last4")] = pydantic.Field(alias="fullName")
    password: Annotated[str, Secret, pydantic.Field(serialization_alias="PW")] = ""

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def length(self) -> int:
        return len(self.name)


class PlainAlias(pydantic.BaseModel):
    password: Hidden = pydantic.Field(default="", alias="passWord", validation_alias="passWord")
    inner: Aliased | None = None


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            Named("canary-secret", "canary", "canary1234"),
            {"@": "n", "userName": SECRET, "the odd": "******1234"},
        ),
        (Named(), {"@": "n"}),
        (Row(1, SECRET, CODE), ["Row", 1, "", CODE[::-1]]),
        (
            Holder(Pair(SECRET), {"row": Row(1, SECRET, CODE)}),
            {"held": ["", 1], "more": {"row": ["Row", 1, "", CODE[::-1]]}},
        ),
        (SecretBox(SECRET, [SECRET]), {"items": []}),
        (Late(Derived(2, SECRET)), {"base": {"number": 2}}),
        (Root([CODE]), [CODE[::-1]]),
        (Open(more=[Aliased(fullName=CARD)]), {"more": [{"fullName": "************1234", "length": 16}]}),  # type: ignore[call-arg]
        (
            Aliased(fullName=CARD, password=SECRET, extra={"in": Aliased(fullName=CARD)}),  # type: ignore[call-arg]
            {
                "fullName": "************1234",
                "length": 16,
                "extra": {"in": {"fullName": "************1234", "length": 16}},
            },
        ),
        (
            PlainAlias(passWord=SECRET, inner=Aliased(fullName=CARD)),
            {"inner": {"fullName": "************1234", "length": 16}},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_marks_are_found_under_every_name_and_in_every_layout(payload: Any, expected: Any) -> None:
    assert json.loads(encoder_for(type(payload)).encode(payload)) == expected
    assert not shows(json.dumps(mask(payload)))
    assert not shows(masked_text(repr(payload), payload))


def test_a_union_is_as_secret_as_its_most_secret_type() -> None:
    cls = msgspec.defstruct(
        "Union",
        [
            ("one", Named | Both),
            ("other", list[Named | Both]),
            ("text", Annotated[str, Secret] | int | None, None),
            ("boxed", Box[Hidden] | None, None),
            ("pairs", list[tuple[Hidden, int]] | None, None),
        ],
    )
    payload = cls(
        Both("canary"), [Named(SECRET), Both("canary")], "canary", Box(SECRET, [SECRET]), [(SECRET, 1)]
    )
    assert json.loads(encoder_for(cls).encode(payload)) == {
        "one": {"@": "both"},
        "other": [{"@": "n", "userName": SECRET}, {"@": "both"}],
        "boxed": {"items": []},
        "pairs": [["", 1]],
    }
    assert not shows(mask(payload))


def test_what_is_personal_as_a_whole_still_keeps_its_secrets() -> None:
    cls = msgspec.defstruct(
        "Whole",
        [("named", Annotated[Named, Personal]), ("row", Annotated[Row, Personal(on_wire=lambda row: row)])],
    )
    payload = cls(Named("x", SECRET), Row(1, SECRET, "ab"))
    assert json.loads(encoder_for(cls).encode(payload)) == {
        "named": {"@": "n", "userName": "x"},
        "row": ["Row", 1, "", "ba"],
    }
    assert mask(payload) == {"named": "***", "row": "***"}


def test_a_function_gets_times_as_they_are_and_may_return_what_json_has_no_word_for() -> None:
    cls = msgspec.defstruct(
        "Times",
        [
            ("born", Annotated[datetime, Personal(on_wire=lambda moment: moment.year)]),
            ("took", Annotated[timedelta, Personal(on_wire=lambda duration: duration * 2)]),
            ("id", Annotated[UUID, Personal(on_wire=lambda text: text[:8])]),
        ],
    )
    payload = cls(datetime(1970, 5, 5), timedelta(seconds=1), UUID(int=1 << 120))
    assert json.loads(encoder_for(cls).encode(payload)) == {
        "born": 1970,
        "took": 2_000_000_000,
        "id": "01000000",
    }


class Custom(pydantic.BaseModel):
    name: Hidden = SECRET

    @pydantic.model_serializer
    def _all(self) -> str:
        return f"{self.name}"


class Personally(pydantic.BaseModel):
    name: Name = NAME

    @pydantic.model_serializer
    def _all(self) -> dict[str, str]:
        return {"all": self.name}


class Joined(pydantic.BaseModel):
    secrets: list[Hidden] = [SECRET]

    @pydantic.field_serializer("secrets")
    def _join(self, secrets: list[str]) -> str:
        return ",".join(secrets)


class Whole(pydantic.BaseModel):
    secrets: Annotated[list[str], Personal(on_wire="drop")] = [SECRET]
    shown: Annotated[list[str], Personal(on_wire=backwards), pydantic.PlainSerializer(",".join)] = ["ab", "c"]


class Short(pydantic.BaseModel):
    a: Annotated[str, pydantic.Field(max_length=8), Personal(on_wire="hash")] = ""


def fault(cls: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        check_marks(cls)
    with pytest.raises(InvalidEvent):
        encoder_for(cls)
    return str(raised.value)


def test_a_serializer_that_may_show_marked_fields_is_refused() -> None:
    assert "Custom has marked fields and a model_serializer" in fault(Custom)
    assert "Joined.secrets holds marked fields and has a serializer" in fault(Joined)
    assert json.loads(encoder_for(Whole).encode(Whole())) == {"shown": "c,ba"}
    for held in (Custom(), [Joined()]):
        with pytest.raises(InvalidEvent, match="may show the marked fields in it") as raised:
            encoder_for(Any_).encode(Any_(held=held))
        assert not shows(raised.value)
        assert mask(Any_(held=held)) == "***"
    whole = Personally()
    assert json.loads(encoder_for(Personally).encode(whole)) == {"all": NAME}, "the wire may have it"
    assert mask(whole) == "***"


def struct(**fields: Any) -> type:
    return msgspec.defstruct(
        "S", [(name, *given) if isinstance(given, tuple) else (name, given) for name, given in fields.items()]
    )


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (struct(a=Annotated[int, Secret]), "S.a goes not on the wire"),
        (struct(a=Annotated[list[str], Personal(on_wire="drop")]), "S.a goes not on the wire"),
        (struct(a=Annotated[str, msgspec.Meta(min_length=1), Secret]), "S.a goes not on the wire"),
        (struct(a=Annotated[int, Personal(on_wire="hash")]), "S.a goes on the wire as a SHA-256"),
        (
            struct(a=Annotated[str, msgspec.Meta(max_length=8), Personal(on_wire="hash")]),
            "S.a goes on the wire as",
        ),
        (struct(a=(Annotated[UUID, Personal(on_wire="last4")], UUID(int=0))), "S.a is not a str"),
        (struct(a=list[Annotated[int, Personal(on_wire="hash")]]), "S.a is not a str"),
        (struct(a=dict[Hidden, int]), "S.a has marked keys"),
        (struct(a=tuple[Annotated[int, Secret], str]), "S.a has a position"),
        (struct(a=list[struct(b=Annotated[int, Secret])]), "S.b goes not on the wire"),  # type: ignore[misc]
        (dataclasses.make_dataclass("D", [("a", Annotated[float, Secret])]), "D.a goes not on the wire"),
        (TypedDict("TD", {"a": Annotated[float, Secret]}), "TD.a goes not on the wire"),  # type: ignore[operator]
        (pydantic.create_model("M", a=(Annotated[float, Secret], ...)), "M.a goes not on the wire"),
        (pydantic.create_model("M", a=(Annotated[pydantic.SecretStr, Secret], ...)), "M.a goes not"),
        (Short, "Short.a goes on the wire as a SHA-256"),
        (
            msgspec.defstruct("A", [("a", Annotated[int, Secret], 1)], array_like=True),
            "A.a goes not on the wire",
        ),
    ],
)
def test_marks_that_cannot_stand_are_refused_by_class_and_field(cls: Any, said: str) -> None:
    assert said in fault(cls)


@pytest.mark.parametrize(
    "cls",
    [
        *CLASSES,
        struct(
            a=Hidden,
            b=Annotated[bytes, Secret],
            c=Annotated[int | None, Secret],
            d=(Annotated[int, Secret], 1),
        ),
        struct(a=list[Annotated[int, Secret]], b=dict[str, Annotated[int, Secret]], c=Annotated[Any, Secret]),
        struct(a=Annotated[str | None, Personal(on_wire="hash")], b=Annotated[UUID, Personal]),
        struct(a=Annotated[str, msgspec.Meta(max_length=8), Personal(on_wire="last4")]),
        TypedDict("TD", {"a": NotRequired[Annotated[float, Secret]]}),  # type: ignore[operator]
        pydantic.create_model("M", a=(Annotated[bytes, Secret], ...), b=(Annotated[float, Secret], 1.0)),
        struct(a=int),
    ],
)
def test_marks_that_can_stand_are_not(cls: Any) -> None:
    check_marks(cls)
    encoder_for(cls)


@pytest.mark.parametrize("what", ["hsah", "", 5, b"hash", ["hash"]])
def test_an_unknown_transformation_is_refused_where_it_is_written(what: Any) -> None:
    with pytest.raises(ConfigError, match=r"Personal\(on_wire="):
        Personal(on_wire=what)


@pytest.mark.parametrize("cls", CLASSES)
def test_the_mark_of_a_path_is_that_of_its_strictest_step(cls: Any) -> None:
    assert mark_of(cls, "number") is None
    assert mark_of(cls, "name") == Personal()
    assert mark_of(cls, "password") == Secret()
    assert mark_of(cls, "within.within.email") == Personal(on_wire="hash")
    assert mark_of(cls, "password.anything") == Secret()
    assert mark_of(cls, "nothing.here") is None
    assert mark_of(struct(a=Named | Both), "a.token") == Secret()
    assert mark_of(struct(a=Annotated[Named, Secret]), "a.user_name") == Secret()


def test_a_key_has_the_value_of_the_wire() -> None:
    assert value_on_wire(None, EMAIL) == value_on_wire(Personal(), EMAIL) == EMAIL
    assert value_on_wire(Personal(on_wire="hash"), EMAIL) == HASH
    assert value_on_wire(Personal(on_wire=backwards), UUID(int=1)) == str(UUID(int=1))[::-1]
    assert value_on_wire(Secret(), SECRET) is None
    assert value_on_wire(Personal(on_wire="drop"), PHONE) is None
    uuid = UUID(int=1)
    assert value_on_wire(Personal(), uuid) is uuid
    for mark, value in (
        (Personal(on_wire=failing), NAME),
        (Personal(on_wire="hash"), 5),
        (Personal(on_wire="hash"), object()),
    ):
        with pytest.raises(InvalidEvent) as raised:
            value_on_wire(mark, value)
        assert not shows(raised.value)
        assert raised.value.__context__ is None


seen_early: dict[str, Any] = {}


def early(cls: Any) -> Any:
    """As a decorator sees a class: before its module has the name, and before the classes below."""
    check_marks(cls)
    seen_early[cls.__name__] = (has_marks(cls), mark_of(cls, "password"), mark_of(cls, "child.password"))
    return hide_in_repr(cls)


@early
class Early(msgspec.Struct):
    password: Hidden
    child: Early | None = None
    later: Later | None = None


@early
class EarlyPlain(msgspec.Struct):
    later: list[Later]


class Later(msgspec.Struct):
    name: Name


def test_names_that_are_not_defined_yet_are_no_trouble_and_no_hole() -> None:
    assert seen_early["Early"] == (True, Secret(), Secret())
    assert seen_early["EarlyPlain"] == (False, None, None)
    assert has_marks(EarlyPlain), "now it can be told"
    payload = Early(SECRET, Early(SECRET), Later("canary"))
    assert json.loads(encoder_for(Early).encode(payload)) == {
        "child": {"child": None, "later": None},
        "later": {"name": "canary"},
    }
    assert not shows(payload)
    assert repr(EarlyPlain([Later("canary")])) == "EarlyPlain(later=[Later(name='***')])"


Tree: Any = TypeAliasType("Tree", "list[Tree] | dict[str, Hidden]")
Names: Any = TypeAliasType("Names", list[Name])


def test_an_alias_that_names_itself_is_secret_as_a_whole() -> None:
    fields: dict[str, Any] = {"trees": (Tree, [[{"a": SECRET}]]), "names": (Names, [NAME])}
    cls = pydantic.create_model("Forest", **fields)
    assert json.loads(encoder_for(cls).encode(cls())) == {"names": [NAME]}
    assert mask(cls()) == {"trees": "***", "names": ["***"]}


def test_classes_without_marks_have_none() -> None:
    assert not has_marks(Base)
    assert has_marks(Late), "a subclass that is known by now has"
    assert has_marks(SecretBox)
    assert not has_marks(struct(a=Case[int]))
    assert has_marks(struct(a=Case[Hidden]))
    assert mark_of(struct(a=Again[int]), "a.item") == Secret(), "whatever its own T stands for"


def test_a_pydantic_dataclass_is_obeyed_or_refused() -> None:
    @pydantic.dataclasses.dataclass(config=pydantic.ConfigDict(serialize_by_alias=True))
    class Inner:
        password: Hidden = pydantic.Field(serialization_alias="pw")

    assert to_json([Inner(SECRET)]) == b"[{}]"
    with pytest.raises(InvalidEvent, match="may show the marked fields"):
        encoder_for(Any_).encode(Any_(held=Inner(SECRET)))


@pytest.mark.parametrize(
    "encode", [lambda v: to_json({"v": v}), lambda v: encoder_for(Holder).encode(Holder(v, {}))]
)
def test_deep_payloads_with_marks_are_written_or_refused(encode: Callable[[Any], bytes]) -> None:
    value: Any = Derived(1, SECRET)
    for _ in range(100):
        value = [value]
    assert b"canary" not in encode(value)
    for _ in range(700):
        value = {"x": value}
    with pytest.raises(InvalidEvent, match="nested deeper"):
        encode(value)
