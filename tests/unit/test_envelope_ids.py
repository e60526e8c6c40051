"""Ids, times and the envelope: UUIDv7, RFC 3339, and JSON that says what was given."""

from __future__ import annotations

import itertools
import json
import threading
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings import InvalidEvent
from tidings.events.frame import json_frame
from tidings.events.frame import text as as_text
from tidings.events.ids import Stamper
from tidings.events.times import envelope_time, record_time

text = st.text(st.characters(exclude_categories=["Cs"]))
LAST_MS = 253_402_300_799_999


def _ms(event_id: bytes) -> int:
    return UUID(event_id.decode()).int >> 80


class Clock:
    """A time_ns() that goes where a test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ms = 1_767_225_600_000
        monkeypatch.setattr("tidings.events.ids.time.time_ns", lambda: self.ms * 1_000_000)


def test_an_id_is_a_uuid_7_and_the_time_is_the_same_moment() -> None:
    before = time.time_ns() // 1_000_000
    event_id, moment = Stamper(lambda: None)()
    after = time.time_ns() // 1_000_000
    uuid = UUID(event_id.decode())
    assert (uuid.version, uuid.variant, len(event_id)) == (7, "specified in RFC 4122", 36)
    assert before <= _ms(event_id) <= after
    parsed = datetime.fromisoformat(moment.decode())
    assert moment.endswith(b"Z")
    assert round(parsed.timestamp() * 1000) == _ms(event_id)


def test_ids_of_one_thread_never_go_down_in_time_and_count_up_within_a_prefix() -> None:
    stamp = Stamper(lambda: None)
    drawn = [stamp()[0] for _ in range(50_000)]
    assert len(set(drawn)) == len(drawn)
    for first, second in itertools.pairwise(drawn):
        assert _ms(first) <= _ms(second)
        if first[:-3] == second[:-3]:
            assert first < second


def test_ids_are_unique_over_threads() -> None:
    stamp = Stamper(lambda: None)
    drawn: list[list[bytes]] = [[] for _ in range(8)]
    start = threading.Barrier(8)

    def draw(mine: list[bytes]) -> None:
        start.wait()
        mine.extend(stamp()[0] for _ in range(20_000))

    threads = [threading.Thread(target=draw, args=(mine,)) for mine in drawn]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({event_id for mine in drawn for event_id in mine}) == 160_000


def test_a_millisecond_has_room_for_more_than_4096_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    stamp = Stamper(lambda: None)
    drawn = {stamp()[0] for _ in range(10_000)}
    assert len(drawn) == 10_000
    assert {_ms(event_id) for event_id in drawn} == {clock.ms}


@given(st.lists(st.integers(-5_000, 5_000), max_size=30))
def test_ids_never_go_below_their_last_millisecond_whatever_the_clock_does(steps: list[int]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        clock = Clock(monkeypatch)
        stamp = Stamper(lambda: None)
        drawn = [stamp()]
        newest = clock.ms
        for step in steps:
            clock.ms += step
            newest = max(newest, clock.ms)
            drawn.append(stamp())
            assert _ms(drawn[-1][0]) == newest
            assert round(datetime.fromisoformat(drawn[-1][1].decode()).timestamp() * 1000) == clock.ms
        assert len({event_id for event_id, _ in drawn}) == len(drawn)


def test_on_tick_is_called_once_a_millisecond_that_sees_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    ticks: list[int] = []
    stamp = Stamper(lambda: ticks.append(clock.ms))
    for ms in (0, 0, 0, 1, 1, 7):
        clock.ms = 1_767_225_600_000 + ms
        stamp()
    assert [ms - 1_767_225_600_000 for ms in ticks] == [0, 1, 7]


def test_two_stampers_share_no_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    first, second = Stamper(lambda: None), Stamper(lambda: None)
    assert not {first()[0] for _ in range(1000)} & {second()[0] for _ in range(1000)}


# -- times that a user gives


@given(st.datetimes(timezones=st.just(UTC) | st.timezones()))
def test_a_datetime_is_written_exactly_in_utc(moment: datetime) -> None:
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        with pytest.raises(InvalidEvent):
            envelope_time(moment)
        return
    written = envelope_time(moment)
    assert written.endswith(b"Z")
    assert datetime.fromisoformat(written.decode()) == utc


@given(st.integers(1, LAST_MS))
def test_milliseconds_are_exact_both_ways(ms: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    assert (
        record_time(ms)
        == record_time(moment)
        == record_time(moment.astimezone(timezone(timedelta(hours=-5))))
        == ms
    )
    assert datetime.fromisoformat(envelope_time(ms).decode()) == moment


class Zoneless(tzinfo):
    def utcoffset(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> None:
        return None

    def dst(self, _: datetime | None) -> None:
        return None


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 1),
        datetime(2026, 1, 1, tzinfo=Zoneless()),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
        0,
        -1,
        LAST_MS + 1,
        10**5000,
        -(10**5000),
        True,
        1.5,
        "2026-01-01T00:00:00Z",
        b"1",
    ],
    ids=lambda moment: type(moment).__name__,
)
def test_times_that_say_no_moment_are_refused(moment: Any) -> None:
    for read in (envelope_time, record_time):
        with pytest.raises(InvalidEvent, match="timestamp"):
            read(moment)


def test_a_record_may_not_be_before_1970_and_an_envelope_may() -> None:
    moment = datetime(1969, 12, 31, 23, 59, 59, 500, tzinfo=UTC)
    assert envelope_time(moment) == b"1969-12-31T23:59:59.000500Z"
    with pytest.raises(InvalidEvent):
        record_time(moment)


# -- the envelope


@given(text, text, text, text | st.none(), text | st.none())
def test_the_envelope_says_what_was_given(
    event_type: str, source: str, event_id: str, correlation_id: str | None, version: str | None
) -> None:
    frame = json_frame(event_type, source, version or "1")
    correlated = event_id if correlation_id is None else correlation_id
    quoted, raw = as_text(event_id, "event_id")
    value, headers = frame.around(b'{"a":1}', raw, b"2026-01-02T03:04:05.678Z", correlated, quoted)
    assert list(json.loads(value).items()) == [
        ("event_id", event_id),
        ("event_type", event_type),
        ("timestamp", "2026-01-02T03:04:05.678Z"),
        ("source", source),
        ("version", version or "1"),
        ("correlation_id", correlated),
        ("data", {"a": 1}),
    ]
    assert headers == [
        ("event_id", event_id.encode()),
        ("event_type", event_type.encode()),
        ("correlation_id", correlated.encode()),
        ("content-type", b"application/json"),
    ]
    fast, fast_headers = frame.around(b"1", b"id", b"now", correlation_id)
    assert json.loads(fast)["correlation_id"] == ("id" if correlation_id is None else correlation_id)
    assert fast_headers[0] == ("event_id", b"id")
