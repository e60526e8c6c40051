"""produce() and publish_json(): records as they are, accounted for like every other."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from support.books import LONG, settle
from support.events import OrderPlaced
from tidings import InvalidEvent, Publisher, correlation
from tidings.testing.memory import InMemoryTransport


def test_bytes_go_as_they_are(publisher: Publisher, transport: InMemoryTransport) -> None:
    for value in (b"", b"\x00\xff", bytearray(b"x"), memoryview(b"yz")):
        publisher.produce("raw", value, "k", headers=[("a", "1"), ("a", None)])  # type: ignore[arg-type]
    delivery = publisher.produce("raw", None, b"k")
    settle(publisher)
    assert [record.value for record in transport.records] == [b"", b"\x00\xff", b"x", b"yz", None]
    assert transport.records[0].headers[:2] == [("a", b"1"), ("a", None)]
    assert transport.records[-1].headers == [("event_id", delivery.event_id.encode())]
    assert UUID(delivery.event_id).version == 7


def test_partition_and_time_are_the_records(publisher: Publisher, transport: InMemoryTransport) -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    receipt = publisher.produce("raw", b"x", partition=3, timestamp=when, event_id="e").wait(LONG)
    publisher.produce("raw", b"x", partition=0, timestamp=1).wait(LONG)
    assert [(record.partition, record.timestamp) for record in transport.records] == [
        (3, 1_767_323_045_678),
        (0, 1),
    ]
    assert (receipt.partition, receipt.timestamp, receipt.event_id) == (3, 1_767_323_045_678, "e")


def test_json_without_an_envelope(publisher: Publisher, transport: InMemoryTransport) -> None:
    delivery = publisher.publish_json("raw", OrderPlaced("ü", 1), key=UUID(int=1), headers={"a": "b"})
    delivery.wait(LONG)
    (record,) = transport.records
    assert record.value == '{"order_id":"ü","total":1}'.encode()
    assert record.key == str(UUID(int=1)).encode()
    assert record.headers == [
        ("a", b"b"),
        ("content-type", b"application/json"),
        ("event_id", delivery.event_id.encode()),
    ]


def test_the_correlation_of_raw_json(publisher: Publisher, transport: InMemoryTransport) -> None:
    with correlation("context"):
        publisher.publish_json("raw", 1)
        publisher.publish_json("raw", 2, correlation_id="argument")
        publisher.publish_json("raw", 3, headers={"Correlation_ID": "header"})
    publisher.publish_json("raw", 4)
    settle(publisher)
    said = [
        [content for name, content in record.headers if name.lower() == "correlation_id"]
        for record in transport.records
    ]
    assert said == [[b"context"], [b"argument"], [b"header"], []]


def test_two_correlations_are_one_too_many(publisher: Publisher) -> None:
    with pytest.raises(InvalidEvent, match="both an argument and a header"):
        publisher.publish_json("raw", 1, correlation_id="a", headers={"correlation_id": "b"})


def test_a_users_content_type_stays(publisher: Publisher, transport: InMemoryTransport) -> None:
    publisher.publish_json("raw", 1, headers={"Content-Type": "application/vnd.own+json"}).wait(LONG)
    assert [name.lower() for name, _ in transport.records[0].headers].count("content-type") == 1
