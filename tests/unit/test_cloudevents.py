"""CloudEvents on Kafka, held to the official SDK in both directions and both forms."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_kafka_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from tidings import Envelope, InvalidEvent, Publisher, Registry, correlation
from tidings.events.decoding import decode
from tidings.testing import InMemoryRecord, InMemoryTransport

FORMS = ["cloudevents", "cloudevents-binary"]
names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=30)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
documents = st.dictionaries(st.text(max_size=9), json_values, min_size=1, max_size=4)


@Registry().event("order.placed", topic="orders", key="order_id", version="3")
class Placed(msgspec.Struct):
    order_id: str
    total: int


def _published(form: str, event: object, **options: Any) -> InMemoryRecord:
    transport = InMemoryTransport()
    with Publisher(transport=transport, envelope=form, service="shop") as publisher:
        publisher.publish(event, **options)
    (record,) = transport.records
    return record


def _as_the_sdk_reads_it(record: InMemoryRecord) -> Any:
    headers = {name: value for name, value in record.headers if value is not None}
    return from_kafka_event(KafkaMessage(headers=headers, key=record.key, value=record.value or b""))


@pytest.mark.parametrize("form", FORMS)
def test_the_sdk_reads_our_events(form: str) -> None:
    with correlation("req-1"):
        record = _published(form, Placed("o-1", 5), event_id="e-1", timestamp=1_767_323_045_678)
    event = _as_the_sdk_reads_it(record)
    assert event.get_data() == {"order_id": "o-1", "total": 5}
    assert (event.get_id(), event.get_type(), event.get_source()) == ("e-1", "order.placed", "shop")
    assert event.get_time() == datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
    assert event.get_datacontenttype() == "application/json"
    assert (event.get_extension("version"), event.get_extension("correlationid")) == ("3", "req-1")
    assert record.key == b"o-1"
    assert dict(record.headers)["event_id"] == b"e-1"


def test_structured_has_no_ce_headers_and_binary_only_the_data() -> None:
    structured = _published("cloudevents", Placed("o-1", 5))
    assert not [name for name, _ in structured.headers if name.startswith("ce_")]
    assert dict(structured.headers)["content-type"] == b"application/cloudevents+json; charset=UTF-8"
    binary = _published("cloudevents-binary", Placed("o-1", 5))
    assert binary.value == b'{"order_id":"o-1","total":5}'
    assert dict(binary.headers)["content-type"] == b"application/json"


@pytest.mark.parametrize("form", FORMS)
@given(data=json_values, event_id=names, event_type=names, source=names, correlated=names)
def test_whatever_we_publish_the_sdk_and_we_read_alike(
    form: str, data: object, event_id: str, event_type: str, source: str, correlated: str
) -> None:
    sent = Envelope(
        data=data,
        event_type=event_type,
        event_id=event_id,
        timestamp=datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        source=source,
        version="2",
        correlation_id=correlated,
        causation_id="c-1",
        extensions={"tenant": "t-1"},
    )
    record = _published(form, sent)
    theirs, ours = _as_the_sdk_reads_it(record), decode(record.value, record.headers)
    assert (theirs.get_id(), theirs.get_type(), theirs.get_source()) == (event_id, event_type, ours.source)
    assert theirs.get_data() == ours.data == data
    assert theirs.get_extension("causationid") == "c-1"
    assert msgspec.structs.replace(ours, source=source) == sent
    if source.isascii() and source.isalnum():
        assert ours.source == source


@pytest.mark.parametrize("write", [to_structured_event, to_binary_event])
@given(data=documents, event_id=names, event_type=names)
def test_we_read_what_the_sdk_writes(
    write: Any, data: dict[str, Any], event_id: str, event_type: str
) -> None:
    event = CloudEvent(
        attributes={
            "id": event_id,
            "type": event_type,
            "source": "/theirs",
            "time": datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
            "datacontenttype": "application/json",
            "correlationid": "req-1",
            "partitionkey": "k",
            "subject": "s",
        },
        data=data,
    )
    message = write(event)
    read = decode(message.value, list(message.headers.items()))
    assert (read.event_id, read.event_type, read.source, read.data) == (event_id, event_type, "/theirs", data)
    assert read.timestamp == datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    assert read.correlation_id == "req-1"
    assert read.extensions == {"partitionkey": "k", "subject": "s"}


def test_binary_data_of_a_structured_event() -> None:
    value = json.dumps({"specversion": "1.0", "id": "1", "type": "t", "source": "/", "data_base64": "AAH/"})
    assert decode(value.encode()).data == b"\x00\x01\xff"


def test_data_that_is_no_json_stays_bytes() -> None:
    headers = [("ce_specversion", b"1.0"), ("ce_type", b"t"), ("content-type", b"image/png")]
    assert decode(b"\x89PNG", headers).data == b"\x89PNG"


@pytest.mark.parametrize(
    "extensions", [{"Tenant": "t"}, {"tenant_id": "t"}, {"id": "x"}, {"tenant": 1.5}, {"tenant": None}]
)
@pytest.mark.parametrize("form", FORMS)
def test_extensions_cloudevents_does_not_take(form: str, extensions: dict[str, Any]) -> None:
    envelope: Envelope[Any] = Envelope(data={}, event_type="t.t", extensions=extensions)
    with pytest.raises(InvalidEvent, match="extension"):
        _published(form, envelope)


def test_a_user_may_not_write_attributes_as_headers() -> None:
    with pytest.raises(InvalidEvent, match="ce_id"):
        _published("cloudevents-binary", Placed("o", 1), headers={"ce_id": "mine"})
