"""Decoding: every form is recognised, and what is no event is refused by name."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings import DecodeError, Envelope, Publisher, Registry
from tidings.events.decoding import decode
from tidings.testing import InMemoryRecord, InMemoryTransport

OURS = {"event_type": "order.placed", "data": {"order_id": "o-1"}}


@Registry().event("order.placed")
class Placed(msgspec.Struct):
    order_id: str
    wait: timedelta = timedelta(0)


def _bytes(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("form", ["json", "cloudevents", "cloudevents-binary"])
def test_what_is_published_is_read_again(form: str) -> None:
    transport = InMemoryTransport()
    event = Placed("o-1", timedelta(seconds=1))
    with Publisher(transport=transport, envelope=form, service="shop", version="7") as publisher:
        publisher.publish(event, event_id="e-1", correlation_id="c-1", timestamp=1_767_323_045_678)
    record: InMemoryRecord = transport.records[0]
    envelope = decode(record.value, record.headers, data_type=Placed)
    assert envelope == Envelope(
        data=event,
        event_type="order.placed",
        event_id="e-1",
        timestamp=datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC),
        source="shop",
        version="7",
        correlation_id="c-1",
    )
    untyped: dict[str, Any] = decode(record.value, record.headers).data
    assert untyped == {"order_id": "o-1", "wait": 1_000_000_000}


def _is_text(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (UnicodeEncodeError, ValueError):
        return False
    return True


texts = st.text().filter(_is_text)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=15,
).filter(_is_text)


@given(
    data=json_values,
    event_type=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1),
    event_id=texts,
    correlation_id=st.none() | texts.filter(bool),
    version=texts.filter(bool),
)
def test_whatever_is_encoded_is_decoded_to_the_same(
    data: object, event_type: str, event_id: str, correlation_id: str | None, version: str
) -> None:
    sent: Envelope[object] = Envelope(
        data=data,
        event_type=event_type,
        event_id=event_id,
        timestamp=datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        source="shop",
        version=version,
        correlation_id=correlation_id,
        extensions={"more": data},
    )
    transport = InMemoryTransport()
    with Publisher(transport=transport) as publisher:
        publisher.publish(sent)
    (record,) = transport.records
    read = decode(record.value, record.headers)
    assert read == (sent if correlation_id else sent.but(correlation_id=event_id))


def test_reading_needs_only_a_type_and_data() -> None:
    assert decode(_bytes(OURS)) == Envelope(data={"order_id": "o-1"}, event_type="order.placed")


def test_ids_may_come_from_the_headers() -> None:
    envelope = decode(_bytes(OURS), [("event_id", b"e-1"), ("correlation_id", b"c-1")])
    assert (envelope.event_id, envelope.correlation_id) == ("e-1", "c-1")


def test_a_newer_envelope_still_reads_and_its_fields_are_kept_or_not() -> None:
    newer = _bytes({**OURS, "version": 9, "tenant": {"id": 3}, "priority": 1})
    envelope = decode(newer)
    assert envelope.version == "9"
    assert envelope.extensions == {"tenant": {"id": 3}, "priority": 1}
    assert decode(newer, keep_unknown=False).extensions == {}


def test_what_was_kept_is_written_again() -> None:
    transport = InMemoryTransport()
    with Publisher(transport=transport) as publisher:
        publisher.publish(decode(_bytes({**OURS, "tenant": {"id": 3}})))
    assert transport.records[0].json()["tenant"] == {"id": 3}


@pytest.mark.parametrize("plain", [{"a": 1}, [1, 2], "text", 5, None, {"event_type": "x"}, {"data": 1}])
def test_plain_json_has_no_type(plain: object) -> None:
    assert decode(_bytes(plain)) == Envelope(data=plain)


def test_plain_json_may_name_its_type_in_a_header() -> None:
    assert decode(b"[1]", [("event_type", b"list.made")]) == Envelope(data=[1], event_type="list.made")


def test_a_time_without_a_zone_is_utc_and_others_become_it() -> None:
    for text in ("2026-01-02T03:04:05", "2026-01-02T03:04:05Z", "2026-01-02T05:04:05+02:00"):
        timestamp = decode(_bytes({**OURS, "timestamp": text})).timestamp
        assert timestamp is not None
        assert timestamp.isoformat() == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    ("value", "headers", "says"),
    [
        (None, [], "tombstone"),
        (b"", [], "not JSON"),
        (b"\xff\xfe", [], "not JSON"),
        (b"{", [], "not JSON"),
        (b'"\xff"', [], "UTF-8"),
        (b"NaN", [], "not JSON"),
        (b"[" * 100_000, [], "deep"),
        (_bytes({**OURS, "event_type": ""}), [], "type"),
        (_bytes({**OURS, "event_type": 5}), [], "`event_type` is a int"),
        (b"[1]", [("content-type", b"application/cloudevents+json")], "no JSON object"),
        (b"{}", [("content-type", b"application/cloudevents+json")], "type"),
        (b"{}", [("ce_specversion", b"1.0")], "type"),
        (b"{}", [("ce_specversion", b"1.0"), ("ce_type", b"\xff")], "ce_type"),
        (b"x", [("ce_specversion", b"1.0"), ("ce_type", b"t")], "not JSON"),
        (_bytes({"specversion": "1.0", "type": "t", "data_base64": "?"}), [], "base64"),
    ],
)
def test_what_is_no_event_is_refused_by_name(
    value: bytes | None, headers: list[tuple[str, bytes | None]], says: str
) -> None:
    with pytest.raises(DecodeError, match=says):
        decode(value, headers)


@pytest.mark.parametrize(
    ("wrong", "read"),
    [
        ({"event_id": 5}, {"event_id": "5"}),
        ({"correlation_id": 1.5}, {"correlation_id": "1.5"}),
        ({"source": {}}, {"source": None}),
        ({"event_id": True}, {"event_id": None}),
        ({"timestamp": "yesterday"}, {"timestamp": None}),
        ({"timestamp": {}}, {"timestamp": None}),
    ],
)
def test_what_makes_no_sense_beside_the_type_and_the_data_costs_no_event(
    wrong: dict[str, object], read: dict[str, object]
) -> None:
    right = decode(_bytes(OURS))
    assert decode(_bytes({**OURS, **wrong})) == msgspec.structs.replace(right, **read)


def test_headers_that_are_no_text_cost_no_event() -> None:
    headers = [("ce_specversion", b"1.0"), ("ce_type", b"t"), ("ce_id", b"1"), ("ce_source", b"\xe9")]
    found = decode(b"{}", [*headers, ("content-type", b"\xff"), ("ce_time", b"\xff")])
    assert (found.event_type, found.event_id, found.source, found.timestamp) == ("t", "1", None, None)
    assert decode(_bytes({**OURS, "event_id": ""}), [("event_id", b"e-1")]).event_id == "e-1"


def test_data_of_another_shape_names_the_field() -> None:
    with pytest.raises(DecodeError, match="order_id"):
        decode(_bytes({"event_type": "order.placed", "data": {"order_id": 5}}), data_type=Placed)


@given(
    st.binary(max_size=200),
    st.lists(
        st.tuples(
            st.sampled_from(
                ["ce_specversion", "ce_type", "ce_time", "ce_data", "content-type", "event_id", "event_type"]
            ),
            st.none() | st.binary(max_size=30),
        ),
        max_size=5,
    ),
)
def test_any_bytes_are_an_envelope_or_a_decode_error(
    value: bytes, headers: list[tuple[str, bytes | None]]
) -> None:
    with contextlib.suppress(DecodeError):
        assert isinstance(decode(value, headers), Envelope)
