"""Times on the wire: integer nanoseconds, UTC with a Z, none without a time zone; in all kinds of payload."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from tidings import InvalidEvent
from tidings.events.codec import encode_native, to_json
from tidings.events.encoders import encoder_for
from tidings.events.payloads.care import finisher
from tidings.events.payloads.wiretimes import from_nanoseconds, may_hold_odd_times, to_nanoseconds

PLUS_TWO = timezone(timedelta(hours=2))
NAIVE = datetime(2026, 1, 2, 3, 4, 5)
UTC_ONLY = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

durations = st.timedeltas()
zones = st.sampled_from(
    [UTC, PLUS_TWO, ZoneInfo("UTC"), ZoneInfo("America/St_Johns"), timezone(-timedelta(0, 61))]
)
moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=zones)
lookalikes = st.sampled_from(
    ["P1D", "-PT1.5S", "2026-01-02T03:04:05", "2026-01-02T03:04:05+02:00", "PT", "P"]
)


class Struct(msgspec.Struct):
    when: datetime = UTC_ONLY
    took: timedelta = timedelta(0)
    each: list[timedelta] = []
    named: dict[str, datetime] = {}
    text: str = ""
    anything: Any = None


class Renamed(msgspec.Struct, rename="camel", omit_defaults=True, array_like=True, tag="r"):
    log_in: datetime = UTC_ONLY
    it_took: timedelta = timedelta(0)


class Flat(msgspec.Struct):
    when: datetime
    text: str


@dataclasses.dataclass
class Data:
    when: datetime = UTC_ONLY
    took: timedelta = timedelta(0)
    each: list[timedelta] = dataclasses.field(default_factory=list)
    named: dict[str, datetime] = dataclasses.field(default_factory=dict)
    text: str = ""
    anything: Any = None


class Model(pydantic.BaseModel):
    when: datetime = UTC_ONLY
    took: timedelta = timedelta(0)
    each: list[timedelta] = []
    named: dict[str, datetime] = {}
    text: str = ""
    anything: Any = None


class Dict(TypedDict):
    when: datetime
    took: timedelta
    each: list[timedelta]
    named: dict[str, datetime]
    text: str
    anything: Any


def as_dict(**fields: Any) -> dict[str, Any]:
    return {
        "when": UTC_ONLY,
        "took": timedelta(0),
        "each": [],
        "named": {},
        "text": "",
        "anything": None,
    } | fields


KINDS: dict[str, tuple[Callable[..., Any], Callable[[Any], bytes]]] = {
    "struct": (Struct, encoder_for(Struct).encode),
    "dataclass": (Data, encoder_for(Data).encode),
    "model": (Model, encoder_for(Model).encode),
    "typed dict": (as_dict, encoder_for(Dict).encode),
    "dict": (as_dict, to_json),
    "struct in a dict": (lambda **fields: {"in": [Struct(**fields)]}, to_json),
}
kinds = pytest.mark.parametrize(("make", "encode"), KINDS.values(), ids=KINDS)


def written(encode: Callable[[Any], bytes], payload: Any) -> Any:
    found = json.loads(encode(payload), parse_constant=pytest.fail)
    return found["in"][0] if "in" in found else found


def ns(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1) * 1000


def is_utc(text: str, moment: datetime) -> bool:
    # In UTC, or times that no clock showed (a gap of summer time) equal nothing.
    return text.endswith("Z") and datetime.fromisoformat(text) == moment.astimezone(UTC)


@kinds
@given(durations, durations, moments, lookalikes)
def test_times_are_written_one_way_wherever_they_stand(
    make: Any, encode: Any, one: timedelta, other: timedelta, moment: datetime, text: str
) -> None:
    anything = {"deep": [one, {"er": (moment, text)}], "text": text}
    payload = make(
        when=moment,
        took=one,
        each=[one, other],
        named={"a": moment},
        text=text,
        anything=anything,
    )
    found = written(encode, payload)
    assert found["took"] == ns(one)
    assert found["each"] == [ns(one), ns(other)]
    assert is_utc(found["when"], moment)
    assert is_utc(found["named"]["a"], moment)
    assert found["text"] == found["anything"]["text"] == text, "text that looks like a time is text"
    assert found["anything"]["deep"][0] == ns(one)
    assert is_utc(found["anything"]["deep"][1]["er"][0], moment)
    assert found["anything"]["deep"][1]["er"][1] == text


@kinds
@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"when": NAIVE}, "$.when"),
        ({"named": {"a": UTC_ONLY, "b": NAIVE}}, "$.named.b"),
        ({"anything": [{"two words": NAIVE}]}, "$.anything[0]['two words']"),
        ({"anything": (NAIVE,)}, "$.anything[0]"),
        ({"anything": {NAIVE: 1}}, "$.anything["),
    ],
)
def test_a_time_without_a_zone_is_refused_by_its_path(
    make: Any, encode: Any, fields: dict[str, Any], path: str
) -> None:
    with pytest.raises(InvalidEvent) as raised:
        encode(make(**fields))
    assert path.removeprefix("$") in str(raised.value)
    assert "has no time zone: use datetime.now(timezone.utc)" in str(raised.value)


@kinds
def test_what_has_no_year_in_utc_is_refused(make: Any, encode: Any) -> None:
    with pytest.raises(InvalidEvent, match=r"\.when is outside of the years 1 to 9999 in UTC"):
        encode(make(when=datetime(1, 1, 1, tzinfo=PLUS_TWO)))


@kinds
def test_times_are_written_one_way_as_keys(make: Any, encode: Any) -> None:
    keys = {timedelta(microseconds=-1): 1, datetime(2026, 1, 1, tzinfo=PLUS_TWO): 2, "P1D": timedelta(0)}
    found = written(encode, make(anything=keys))
    assert found["anything"] == {"-1000": 1, "2025-12-31T22:00:00Z": 2, "P1D": 0}


@given(moments | st.just(NAIVE), lookalikes)
def test_the_fast_way_is_for_utc_alone(moment: datetime, text: str) -> None:
    encoder = encoder_for(Flat)
    assert encoder.is_exact is not None
    payload = Flat(moment, text)
    if encoder.is_exact(payload):
        assert moment.tzinfo is UTC
        assert json.loads(encode_native(payload)) == json.loads(encoder.encode(payload))
    else:
        assert moment.tzinfo is not UTC


def test_positions_and_names_are_those_of_the_class() -> None:
    payload = Renamed(datetime(2026, 1, 1, tzinfo=PLUS_TWO), timedelta(seconds=1))
    assert encoder_for(Renamed).encode(payload) == b'["r","2025-12-31T22:00:00Z",1000000000]'
    with pytest.raises(InvalidEvent, match=r"^\$\[1\] has no time zone"):
        encoder_for(Renamed).encode(Renamed(NAIVE))


class Pair(NamedTuple):
    first: timedelta
    second: object


@given(st.lists(durations, min_size=1))
def test_everything_else_is_written_as_ever(some: list[timedelta]) -> None:
    """The careful way goes through a tree of values: it may change nothing but times."""
    rest = {
        "id": UUID(int=5),
        "price": Decimal("1.10"),
        "bytes": b"\xff",
        "set": {1},
        1: [None, True, 2**70, 1e300],
        "raw": msgspec.Raw(b'{"b": [1.0]}'),
        "pair": Pair(timedelta(1), "P1D"),
    }
    found = json.loads(to_json({**rest, "some": some}))
    assert found.pop("some") == [ns(each) for each in some]
    assert found.pop("pair") == [ns(timedelta(1)), "P1D"]
    del rest["pair"]
    assert found == json.loads(encode_native(rest))


def test_the_deepest_places_are_reached_and_what_is_deeper_is_refused() -> None:
    value: Any = timedelta(1)
    for _ in range(250):
        value = {"x": value}
    assert to_json(value).count(b"86400000000000") == 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidEvent, match="nested deeper"):
        to_json(value)


def test_nothing_is_added_where_there_can_be_no_times() -> None:
    closed = msgspec.defstruct("Closed", [("a", list[str]), ("b", dict[str, int | None]), ("c", UUID)])
    assert finisher(closed) is None
    for hint in (datetime, list[timedelta], Any, list, object, Annotated[datetime | None, "x"], Struct):
        assert finisher(msgspec.defstruct("Open", [("a", str), ("b", hint)])) is not None


@given(st.recursive(durations | moments | lookalikes | st.integers(), st.lists))
def test_a_search_of_the_bytes_misses_no_time(value: Any) -> None:
    def odd(value: Any) -> bool:
        if isinstance(value, list):
            return any(map(odd, value))
        return isinstance(value, timedelta) or (
            isinstance(value, datetime) and value.utcoffset() != timedelta(0)
        )

    data = encode_native({"x": value})
    assert may_hold_odd_times(data) or not odd(value)


def test_a_search_of_the_bytes_passes_what_is_in_utc() -> None:
    plain = {"at": UTC_ONLY, "until": UTC_ONLY.replace(microsecond=5), "name": "Paul T", "n": 1}
    assert not may_hold_odd_times(encode_native(plain))


@given(durations)
def test_nanoseconds_come_back(duration: timedelta) -> None:
    assert from_nanoseconds(to_nanoseconds(duration)) == duration
    for near in (-500, -1, 1, 499):
        assert from_nanoseconds(to_nanoseconds(duration) + near) == duration
    assert from_nanoseconds(Decimal(to_nanoseconds(duration))) == duration


@pytest.mark.parametrize("beyond", [10**23, -(10**23), Decimal("1e999999"), float("inf")])
def test_more_nanoseconds_than_a_timedelta_has_overflow(beyond: float) -> None:
    with pytest.raises(OverflowError):
        from_nanoseconds(beyond)


class Minutes(pydantic.BaseModel):
    """A model whose serializers say themselves how times are written."""

    always: timedelta
    in_json: timedelta
    annotated: Annotated[timedelta, pydantic.PlainSerializer(lambda value: value.total_seconds())]
    day: datetime
    iso: timedelta
    usual: timedelta

    @pydantic.field_serializer("always")
    def _minutes(self, value: timedelta) -> int:
        return value // timedelta(minutes=1)

    @pydantic.field_serializer("in_json", when_used="json")
    def _words(self, value: timedelta) -> str:
        return f"{value // timedelta(minutes=1)} minutes"

    @pydantic.field_serializer("day", when_used="json")
    def _day(self, value: datetime) -> str:
        return value.strftime("%d.%m.%Y")

    @pydantic.field_serializer("iso")
    def _iso(self, value: timedelta) -> str:
        return "PT1H30M"


def test_the_serializers_of_a_model_have_their_way() -> None:
    hour = timedelta(minutes=90)
    payload = Minutes(always=hour, in_json=hour, annotated=hour, day=NAIVE, iso=hour, usual=hour)
    assert json.loads(encoder_for(Minutes).encode(payload)) == {
        "always": 90,
        "in_json": "90 minutes",
        "annotated": 5400.0,
        "day": "02.01.2026",
        "iso": "PT1H30M",
        "usual": 5_400_000_000_000,
    }


@pytest.mark.parametrize(
    "config",
    [
        {"ser_json_timedelta": "float"},
        {"ser_json_temporal": "seconds"},
        {"ser_json_temporal": "milliseconds"},
    ],
)
def test_a_model_that_is_configured_to_write_numbers_writes_nanoseconds(config: Any) -> None:
    inner = pydantic.create_model(
        "Inner", __config__=config, took=(timedelta, ...), when=(datetime, ...), by=(dict[timedelta, int], {})
    )
    outer = pydantic.create_model("Outer", inner=(inner, ...), ratio=(float, 0.5))
    payload = outer(
        inner=inner(took=timedelta(hours=1), when=NAIVE.replace(tzinfo=PLUS_TWO), by={timedelta(1): 1})
    )
    found = json.loads(encoder_for(outer).encode(payload))
    assert found == {
        "inner": {"took": 3_600_000_000_000, "when": "2026-01-02T01:04:05Z", "by": {"86400000000000": 1}},
        "ratio": 0.5,
    }


class Sets(pydantic.BaseModel):
    some: set[timedelta] = set()
    more: frozenset[datetime] = frozenset()
    late: datetime = UTC_ONLY


@given(st.sets(durations), st.frozensets(moments))
def test_the_sets_of_a_model_hold_what_they_held(some: set[timedelta], more: frozenset[datetime]) -> None:
    found = json.loads(encoder_for(Sets).encode(Sets(some=some, more=more)))
    assert set(found["some"]) == {ns(each) for each in some}
    in_utc = {each.astimezone(UTC) for each in more}
    assert {datetime.fromisoformat(each) for each in found["more"]} == in_utc
    assert all(each.endswith("Z") for each in found["more"])


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")


def test_what_is_not_declared_is_written_the_same_way() -> None:
    more = {"took": timedelta(seconds=1), "late": [UTC_ONLY.astimezone(PLUS_TWO)]}
    expected = {"took": 1_000_000_000, "late": ["2026-01-02T03:04:05Z"]}
    assert json.loads(encoder_for(Open).encode(Open(**more))) == expected
    small: Any = TypedDict("small", {"text": str})
    assert json.loads(encoder_for(small).encode({"text": "a", **more})) == {"text": "a", **expected}


class Stamp(datetime):
    """As libraries that freeze time have."""


def test_a_kind_of_datetime_that_a_model_takes_is_written() -> None:
    stamp = Stamp(2026, 1, 2, tzinfo=PLUS_TWO)
    found = json.loads(encoder_for(Sets).encode(Sets.model_construct(late=stamp)))
    assert found["late"] == "2026-01-01T22:00:00Z"
