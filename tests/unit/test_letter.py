"""Letters: any record comes back byte for byte, and a letter that was edited wrongly says where."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.errors import DecodeError
from tidings.letters.letter import DeadLetter, Pair
from tidings.letters.naming import dlq_topic
from tidings.topics import is_topic_name

NOON = 1_767_268_800_123


def letter(
    value: bytes | None = b'{"a":1}',
    key: bytes | None = b"k",
    headers: list[Pair] | None = None,
    **more: Any,
) -> DeadLetter:
    plain: dict[str, Any] = {
        "event_id": "e-1",
        "attempts": 3,
        "error_code": "MSG_SIZE_TOO_LARGE",
        "reason": "Broker: Message size too large",
        "certainty": "not_delivered",
        "client_id": "shop",
        "first_attempt_ms": NOON,
        "last_attempt_ms": NOON + 5,
    }
    return DeadLetter.of_record("orders", value, key, headers or [], **{**plain, **more})


def edited(change: Callable[[dict[str, Any]], object], **more: Any) -> bytes:
    fields = json.loads(letter(**more).encode())
    change(fields)
    return json.dumps(fields).encode()


json_text = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
).map(lambda value: json.dumps(value).encode())
odd_json = st.sampled_from(
    [
        b"",
        b" ",
        b"null",
        b' {"a" :\t1\n}\r\n',
        b'{ "a": 1 ,  "a":2 }',
        b"1e999",
        b"-0.0",
        b"12345678901234567890123456789.000000000000000000001",
        b"9" * 5000,
        b'"\\ud800"',
        b'"\\u0041\\/"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b"NaN",
        b"[1,]",
        b'1,"event":2',
        b"1],[2",
        b'null,"event_encoding":null',
        b"[" * 150 + b"]" * 150,
        b"[" * 700 + b"]" * 700,
        b"[" * 990 + b"]" * 990,
        b"[" * 100_000 + b"]" * 100_000,
        b"\xef\xbb\xbf{}",
        b'"AAAA"',
        b'{"\xff": 1}',
    ]
)
values = st.none() | st.binary() | json_text | odd_json
contents = st.none() | st.binary() | st.text().map(str.encode)
pairs = st.lists(st.tuples(st.text(), contents), max_size=5)


@settings(deadline=None, max_examples=500)
@given(values, contents, pairs)
def test_any_record_comes_back_exactly(value: bytes | None, key: bytes | None, headers: list[Pair]) -> None:
    made = letter(value, key, headers)
    found = DeadLetter.decode(made.encode())
    assert found == made
    assert (found.value, found.key, found.record_headers) == (value, key, headers)
    again = DeadLetter.decode(found.encode())
    assert (again.value, again.key, again.record_headers) == (value, key, headers)


def deeper(frames: int, call: Callable[[], DeadLetter]) -> DeadLetter:
    return deeper(frames - 1, call) if frames else call()


@pytest.mark.parametrize("depth", range(700, 1000, 5))
def test_a_letter_made_near_the_top_of_the_stack_is_read_far_below(depth: int) -> None:
    value = b"[" * depth + b"]" * depth
    made = letter(value)
    assert deeper(150, lambda: DeadLetter.decode(made.encode())).value == value


@given(odd_json)
def test_a_letter_is_json_for_everybody(value: bytes) -> None:
    seen = json.loads(letter(value).encode().decode())
    assert seen["event_encoding"] in {"json", "base64"}


@pytest.mark.parametrize(
    ("value", "encoding", "event"),
    [
        (b'{"order": [1, 2]}', "json", '"event":{"order": [1, 2]},'),
        (b"null", "json", '"event":null,'),
        (b"", "base64", '"event":"",'),
        (b"\x00\xff", "base64", '"event":"AP8=",'),
        (None, None, '"event":null,'),
    ],
)
def test_how_an_event_is_written(value: bytes | None, encoding: str | None, event: str) -> None:
    written = letter(value).encode().decode()
    assert event in written
    assert json.loads(written)["event_encoding"] == encoding


def test_every_field() -> None:
    headers: list[Pair] = [
        ("event_id", b"e-1"),
        ("event_type", b"order.placed"),
        ("raw", b"\xff"),
        ("none", None),
        ("tidings-replay-count", b"2"),
    ]
    made = letter(headers=headers, letter_id="l-1", partition=3, record_timestamp=NOON)
    assert json.loads(made.encode()) == {
        "event": {"a": 1},
        "topic": "orders",
        "failure_reason": "Broker: Message size too large",
        "attempt_count": 3,
        "first_attempt": "2026-01-01T12:00:00.123000Z",
        "last_attempt": "2026-01-01T12:00:00.128000Z",
        "letter_id": "l-1",
        "event_encoding": "json",
        "event_id": "e-1",
        "event_type": "order.placed",
        "error_code": "MSG_SIZE_TOO_LARGE",
        "certainty": "not_delivered",
        "origin": "publisher",
        "partition": 3,
        "offset": None,
        "group": None,
        "key": "k",
        "key_encoding": "text",
        "headers": [
            {"name": "event_id", "value": "e-1"},
            {"name": "event_type", "value": "order.placed"},
            {"name": "raw", "value": "/w==", "encoding": "base64"},
            {"name": "none", "value": None},
            {"name": "tidings-replay-count", "value": "2"},
        ],
        "record_timestamp": NOON,
        "replay_count": 2,
        "client_id": "shop",
        "event_left_out": False,
    }
    assert made.first_attempt == datetime(2026, 1, 1, 12, 0, 0, 123_000, tzinfo=UTC)


def test_a_consumers_letter() -> None:
    made = letter(origin="consumer", partition=1, offset=42, group="billing", letter_id="h", event_id=None)
    found = DeadLetter.decode(made.encode())
    assert (found.origin, found.partition, found.offset, found.group) == ("consumer", 1, 42, "billing")
    assert found.event_id is None


def test_letter_ids_are_new_uuid7s_that_sort_by_time() -> None:
    ids = [letter().letter_id for _ in range(100)]
    assert len(set(ids)) == 100
    assert {len(each) for each in ids} == {36}
    assert {each[14] for each in ids} == {"7"}


@pytest.mark.parametrize(
    ("header", "count"),
    [(b"0", 0), (b"7", 7), (b"-1", 0), (b"x", 0), (b"", 0), (None, 0), (b"\xff", 0), (b"9" * 99, 0)],
)
def test_the_replay_count_comes_from_the_header(header: bytes | None, count: int) -> None:
    assert letter(headers=[("tidings-replay-count", header)]).replay_count == count


def test_an_event_type_that_is_no_text_is_none() -> None:
    assert letter(headers=[("event_type", b"\xff")]).event_type is None
    assert letter(headers=[("event_type", None)]).event_type is None


@pytest.mark.parametrize("reason", ["x" * 9000, "é" * 5000, "a" + "€" * 3000, "\ud800" * 9000])
def test_a_reason_is_cut_at_8_kib(reason: str) -> None:
    cut = DeadLetter.decode(letter(reason=reason).encode()).failure_reason
    assert 8190 <= len(cut.encode()) <= 8192
    assert cut[0] in {reason[0], "?"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda it: it.update(attempt_count="three"), "attempt_count"),
        (lambda it: it.update(attempt_count=-1), "attempt_count"),
        (lambda it: it.update(replay_count=None), "replay_count"),
        (lambda it: it.pop("topic"), "topic"),
        (lambda it: it.pop("event"), "event"),
        (lambda it: it.pop("event_encoding"), "event_encoding"),
        (lambda it: it.update(topic="no such/name"), "topic"),
        (lambda it: it.update(first_attempt="yesterday"), "first_attempt"),
        (lambda it: it.update(last_attempt="2026-01-01T00:00:00"), "last_attempt"),
        (lambda it: it.update(event_encoding="zip"), "event_encoding"),
        (lambda it: it.update(event_encoding="base64"), "event"),
        (lambda it: it.update(event_encoding="base64", event="*"), "event"),
        (lambda it: it.update(event_encoding=None), "event_encoding"),
        (lambda it: it.update(key="*", key_encoding="base64"), "key"),
        (lambda it: it.update(key=5), "key"),
        (lambda it: it.update(certainty="maybe"), "certainty"),
        (lambda it: it.update(origin="me"), "origin"),
        (lambda it: it.update(headers=[{"name": "h"}]), "headers"),
        (lambda it: it.update(headers=[{"name": "h", "value": "*", "encoding": "base64"}]), "headers"),
        (lambda it: it.update(headers={"h": "v"}), "headers"),
    ],
)
def test_a_letter_edited_wrongly_names_the_field(
    change: Callable[[dict[str, Any]], object], field: str
) -> None:
    with pytest.raises(DecodeError, match=field):
        DeadLetter.decode(edited(change))


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"null", b"\xff", b'"\xff"', None, b"[" * 100_000])
def test_what_is_no_letter(value: bytes | None) -> None:
    with pytest.raises(DecodeError):
        DeadLetter.decode(value)


def test_a_letter_edited_rightly() -> None:
    found = DeadLetter.decode(edited(lambda it: it.update(event={"a": 2}, note="repaired by hand")))
    assert found.value == b'{"a": 2}'
    tombstone = DeadLetter.decode(edited(lambda it: it.update(event=None, event_encoding=None)))
    assert tombstone.value is None


@given(st.from_regex(r"[a-zA-Z0-9._-]{1,249}", fullmatch=True))
@pytest.mark.parametrize("template", ["dead-letters", "{topic}.dlq", "dlq.{topic}.v1", "{topic}.{topic}"])
def test_dead_letter_topics_are_legal(template: str, topic: str) -> None:
    name = dlq_topic(template, topic)
    assert is_topic_name(name)
    if len(template.replace("{topic}", topic)) <= 249:
        assert name == template.replace("{topic}", topic)


def test_long_topics_keep_apart() -> None:
    first, second = dlq_topic("{topic}.dlq", "x" * 248 + "1"), dlq_topic("{topic}.dlq", "x" * 248 + "2")
    assert first != second
    assert first.endswith(".dlq")
    assert len(first) == 249


class Owing(msgspec.Struct):
    """An event as the store keeps it."""

    topic: str = "orders"
    event_id: bytes = b"e-9"
    key: bytes | None = b"\xff"
    value: bytes | None = None
    headers: list[Pair] = []
    partition: int = -1
    timestamp: int = 0
    attempts: int = 4


def of(owing: Owing) -> DeadLetter:
    return DeadLetter.of(
        cast(Any, owing),
        error_code="INVALID_TIMESTAMP",
        reason="r",
        certainty="unknown",
        client_id="shop",
        first_attempt_ms=NOON,
        last_attempt_ms=NOON + 1,
    )


def test_the_letter_of_an_event_that_is_owed() -> None:
    made = of(Owing(headers=[("event_type", b"order.placed"), ("tidings-replay-count", b"1")]))
    assert (made.topic, made.event_id, made.key, made.value) == ("orders", "e-9", b"\xff", None)
    assert (made.attempt_count, made.event_type, made.replay_count) == (4, "order.placed", 1)
    assert (made.partition, made.record_timestamp, made.origin) == (None, None, "publisher")
    assert (made.error_code, made.certainty) == ("INVALID_TIMESTAMP", "unknown")
    chosen = of(Owing(partition=0, timestamp=NOON))
    assert (chosen.partition, chosen.record_timestamp) == (0, NOON)
