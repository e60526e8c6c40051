"""Records of every kind that no handler should see: letters, or skipped, and everything else is handled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import pytest
from confluent_kafka import Producer

from support.books import LONG
from support.consuming import event_value
from support.kafka_reader import read_topic
from support.ledger import Place
from support.processes import wait_until
from support.watched import Watched
from tidings.testing import RealKafka

Pair = tuple[str, str | bytes | None]
Fate = Literal["handled", "letter", "nobody"]
"""``nobody``: no handler is for it, so UNKNOWN_TYPES decides; JSON that is no envelope has no type."""


class Poison(NamedTuple):
    name: str
    fate: Fate
    value: bytes | None
    headers: Sequence[Pair] = ()
    key: bytes | None = b"o-1"


def envelope(**changes: object) -> bytes:
    plain = {"event_id": "e", "event_type": "order.placed", "timestamp": "2026-01-02T03:04:05Z"}
    given = {**plain, "data": {"order_id": "o", "total": 1}, **changes}
    return msgspec.json.encode({name: it for name, it in given.items() if it is not msgspec.UNSET})


GOOD = event_value(event_id="good", order_id="o", total=1)
DEEP = 100_000
CE: list[Pair] = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/shop")]
POISON = [
    Poison("not UTF-8", "letter", b"\xff\xfe\x00\x01"),
    Poison("UTF-8 broken in a string", "letter", GOOD.replace(b'"o"', b'"\xc3\x28"')),
    Poison("half of a surrogate pair", "letter", GOOD.replace(b'"o"', b'"\\ud800"')),
    Poison("UTF-16", "letter", GOOD.decode().encode("utf-16")),
    Poison("a byte order mark", "letter", b"\xef\xbb\xbf" + GOOD),
    Poison("not JSON", "letter", b"{nope"),
    Poison("cut off", "letter", GOOD[:-1]),
    Poison("two documents", "letter", GOOD + GOOD),
    Poison("empty", "letter", b""),
    Poison("blanks", "letter", b"  \n"),
    Poison("a NUL", "letter", b"\0"),
    Poison("null", "nobody", b"null"),
    Poison("a number", "nobody", b"5"),
    Poison("a string", "nobody", b'"order.placed"'),
    Poison("an array", "nobody", b"[]"),
    Poison("NaN", "letter", GOOD.replace(b'"total":1', b'"total":NaN')),
    Poison("1 MB of nothing", "letter", b"x" * 1_000_000),
    Poison("1 MB, and an event", "handled", event_value(order_id="o", total=1, more="x" * 1_000_000)),
    Poison("nested arrays", "letter", b"[" * DEEP + b"]" * DEEP),
    Poison("nested data", "letter", GOOD.replace(b'"o"', b'{"a":' * DEEP + b"1" + b"}" * DEEP)),
    Poison("nested beside the data", "letter", GOOD[:-1] + b',"more":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    Poison(
        "nested, of another type", "letter", b'{"event_type":"x","data":' + b"[" * DEEP + b"]" * DEEP + b"}"
    ),
    Poison("a tombstone", "nobody", None),
    Poison("a tombstone with headers", "nobody", None, [("event_type", b"order.placed")]),
    Poison("an unknown type", "nobody", envelope(event_type="order.cancelled")),
    Poison("an unknown type in a header", "nobody", b'{"order_id": "o"}', [("event_type", b"order.lost")]),
    Poison("a later schema version", "handled", envelope(version="99.0")),
    Poison("a version of no kind", "handled", envelope(version={"major": 1})),
    Poison("a time of no kind", "handled", envelope(timestamp="yesterday")),
    Poison("a field of the wrong type", "letter", envelope(data={"order_id": 5, "total": 1})),
    Poison("a field that is missing", "letter", envelope(data={"total": 1})),
    Poison("a number of 400 digits", "handled", GOOD.replace(b'"total":1', b'"total":1' + b"0" * 400)),
    Poison("data that is null", "letter", envelope(data=None)),
    Poison("data that is an array", "letter", envelope(data=[1])),
    Poison("no data", "nobody", envelope(data=msgspec.UNSET)),
    Poison("an id of the wrong type", "handled", envelope(event_id=5)),
    Poison("a correlation id of the wrong type", "handled", envelope(correlation_id=[])),
    Poison("an id that is not UTF-8", "handled", envelope(event_id=None), [("event_id", b"\xff")]),
    Poison("a type of the wrong type", "letter", envelope(event_type=5)),
    Poison("no type", "nobody", envelope(event_type=msgspec.UNSET)),
    Poison("an empty type", "letter", envelope(event_type="")),
    Poison("a CloudEvent of an unknown version, but ours", "handled", GOOD, [("ce_specversion", b"9.9")]),
    Poison("a CloudEvent of an unknown type", "nobody", b"{}", [*CE, ("ce_type", b"order.lost")]),
    Poison("a CloudEvent that is broken", "letter", b"{nope", [*CE, ("ce_type", b"order.placed")]),
    Poison("a key that is not UTF-8", "handled", GOOD, (), b"\xff\xfe"),
    Poison("no key", "handled", GOOD, (), None),
    Poison("headers that are not UTF-8", "handled", GOOD, [("event_id", b"\xff"), ("x", None)]),
    Poison(
        "the same, and not JSON",
        "letter",
        b"{",
        [("event_id", b"\xff"), ("event_type", b"\xfe"), ("x", None)],
    ),
]


@pytest.fixture(scope="module")
def kafka() -> Iterator[RealKafka]:
    with RealKafka() as kafka:
        yield kafka


def write(watched: Watched) -> dict[str, Place]:
    """Each poison among good events of many keys; where it is."""
    found: dict[str, Place] = {}
    producer = Producer({"bootstrap.servers": watched.brokers, "message.max.bytes": 2_000_000})
    for number, it in enumerate(POISON):

        def told(error: object, record: object, name: str = it.name) -> None:
            assert error is None, (name, error)
            found[name] = (record.partition(), record.offset())  # type: ignore[attr-defined]

        for good in range(5):
            producer.produce(watched.topic, GOOD, b"o-%d" % (number + good))
        producer.produce(watched.topic, it.value, it.key, headers=list(it.headers), on_delivery=told)
    assert producer.flush(LONG) == 0
    return found


@pytest.mark.parametrize("unknown", ["skip", "letter"])
@pytest.mark.parametrize("form", ["sync", "async"])
def test_poison_of_every_kind(kafka: RealKafka, tmp_path: Path, form: str, unknown: str) -> None:
    """Each becomes what is documented; the others are handled; nothing crashes, and all is committed."""
    with Watched(kafka, tmp_path, settings={"unknown_types": unknown}) as watched:
        places = write(watched)
        fates = {it.name: it.fate if it.fate != "nobody" else unknown for it in POISON}
        with watched.consumer(lambda message: None, form) as consumer:

            def is_through() -> bool:
                partitions = consumer.stats().partitions.values()
                return len(partitions) == 4 and all(it.lag == 0 for it in partitions)

            assert wait_until(is_through, LONG), consumer.stats()
            assert consumer.health().ok
        stats = consumer.stats()
        skipped = {places[name] for name, fate in fates.items() if fate == "skip"}
        names = {place: name for name, place in places.items()}
        kept = watched.check_finished(skipped=skipped)
        letters = {places[name] for name, fate in fates.items() if fate == "letter"}
        strange = {names.get(place, place) for place in set(kept.letters) ^ letters}
        assert not strange
        assert not {names[place] for place in (letters | skipped) & set(kept.attempts)}, "no handler saw them"
        assert (stats.skipped, stats.undecodable) == (len(skipped), len(letters))
        assert {letter.error_code for letter in kept.letters.values()} == {"KAFKA_UNDECODABLE"}
        records = {(it.partition, it.offset): it for it in read_topic(watched.brokers, watched.topic, 0)}
        for place, letter in kept.letters.items():
            assert letter.key == records[place].key
            assert letter.event_left_out or letter.value == records[place].value, names[place]
            assert letter.record_headers == list(records[place].headers)
        left_out = {names[place] for place, letter in kept.letters.items() if letter.event_left_out}
        assert left_out == {"1 MB of nothing"}
