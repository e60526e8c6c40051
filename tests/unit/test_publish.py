"""publish(): what an event looks like in the topic, and where it goes."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.books import LONG, MakePublisher, doom, settle
from support.events import OrderPlaced, UserCreated, UserRenamed, registry
from tidings import ConfigError, Publisher, State, correlation, current_correlation_id
from tidings.testing.memory import InMemoryTransport

text = st.text(st.characters(exclude_categories=["Cs"]))


def test_an_event_in_its_envelope(publisher: Publisher, transport: InMemoryTransport) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    delivery = publisher.publish(OrderPlaced("o-1", 4200))
    receipt = delivery.wait(LONG)
    (record,) = transport.records
    envelope = record.json()
    assert list(envelope) == [
        "event_id",
        "event_type",
        "timestamp",
        "source",
        "version",
        "correlation_id",
        "data",
    ]
    assert UUID(envelope["event_id"]).version == 7
    assert envelope["event_type"] == "order.placed"
    assert before <= datetime.fromisoformat(envelope["timestamp"]) <= datetime.now(UTC)
    assert envelope["source"] == "tests"
    assert envelope["version"] == "2.1"
    assert envelope["correlation_id"] == envelope["event_id"] == delivery.event_id == receipt.event_id
    assert envelope["data"] == {"order_id": "o-1", "total": 4200}
    assert (record.topic, record.key) == ("orders", b"o-1")
    assert record.headers == [
        ("event_id", delivery.event_id.encode()),
        ("event_type", b"order.placed"),
        ("correlation_id", delivery.event_id.encode()),
        ("content-type", b"application/json"),
    ]
    assert (receipt.state, receipt.topic, receipt.attempts) == (State.DELIVERED, "orders", 1)
    assert (receipt.partition, receipt.offset) == (record.partition, record.offset)
    assert receipt.timestamp == record.timestamp
    assert delivery.done()
    assert delivery.error is None


@pytest.mark.parametrize(
    ("event", "event_type", "expected"),
    [
        (UserCreated({"id": 1}), "user.created", None),
        (UserRenamed(name="x", score=1), "user.renamed", {"name": "x", "score": 1.0}),
        ({"a": [1, None]}, "plain.dict", {"a": [1, None]}),
        ([1, 2], "plain.list", [1, 2]),
        ("text", "plain.text", "text"),
        (None, "plain.none", None),
        (OrderPlaced("o"), "order.renamed", {"order_id": "o", "total": 0}),
    ],
)
def test_payloads_of_every_kind(
    publisher: Publisher, transport: InMemoryTransport, event: object, event_type: str, expected: object
) -> None:
    if isinstance(event, UserCreated):
        event.user, expected = OrderPlaced("o"), {"user": {"order_id": "o", "total": 0}, "score": 0.0}
        publisher.publish(event, key="k")
    else:
        publisher.publish(event, event_type=event_type)
    settle(publisher)
    (envelope,) = transport.events()
    assert (envelope["event_type"], envelope["data"]) == (event_type, expected)


def test_a_class_of_ones_own_goes_where_the_type_it_is_named_after_goes(
    transport: InMemoryTransport,
) -> None:
    class Mine(msgspec.Struct):
        order_id: str

    with Publisher(transport=transport, registry=registry) as publisher:
        publisher.publish(Mine("o"), event_type="order.placed")
        publisher.publish(Mine("o"), event_type="order.placed", topic="elsewhere")
    assert [record.topic for record in transport.records] == ["orders", "elsewhere"]
    assert transport.records[0].json()["version"] == "2.1"


def test_what_the_call_says_goes_first(publisher: Publisher, transport: InMemoryTransport) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    delivery = publisher.publish(
        OrderPlaced("o-1"),
        topic="elsewhere",
        key=b"\x00",
        headers={"trace": b"\xff", "note": "grüße", "nothing": None},
        correlation_id="request-1",
        event_id="mine \n\0 ☃",
        timestamp=moment,
    )
    delivery.wait(LONG)
    (record,) = transport.records
    envelope = record.json()
    assert delivery.event_id == envelope["event_id"] == "mine \n\0 ☃"
    assert envelope["timestamp"] == "2026-01-02T03:04:05.678901Z"
    assert envelope["correlation_id"] == "request-1"
    assert (record.topic, record.key) == ("elsewhere", b"\x00")
    assert record.headers[4:] == [("trace", b"\xff"), ("note", "grüße".encode()), ("nothing", None)]
    assert dict(record.headers)["event_id"] == "mine \n\0 ☃".encode()
    assert abs(record.timestamp / 1000 - datetime.now(UTC).timestamp()) < 3600, "publish(timestamp=) is data"


def test_an_event_id_may_be_any_string_also_the_empty_one(
    publisher: Publisher, transport: InMemoryTransport
) -> None:
    publisher.publish(OrderPlaced("o"), event_id="").wait(LONG)
    publisher.publish(OrderPlaced("o"), event_id="x" * 1000).wait(LONG)
    publisher.publish(OrderPlaced("o"), event_id="x" * 1000).wait(LONG)  # users may repeat one
    assert [envelope["event_id"] for envelope in transport.events()] == ["", "x" * 1000, "x" * 1000]
    assert publisher.stats().delivered == 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(text, text, st.dictionaries(text, text))
def test_any_text_survives(
    publisher: Publisher,
    transport: InMemoryTransport,
    event_id: str,
    correlation_id: str,
    data: dict[str, str],
) -> None:
    transport.clear()
    with correlation(correlation_id):
        publisher.publish(data, event_type="a.type", event_id=event_id).wait(LONG)
    (envelope,) = transport.events()
    assert (envelope["event_id"], envelope["correlation_id"], envelope["data"]) == (
        event_id,
        correlation_id,
        data,
    )


def test_the_correlation_of_the_context(publisher: Publisher, transport: InMemoryTransport) -> None:
    with correlation("outer"):
        publisher.publish(OrderPlaced("1"))
        with correlation("inner"):
            publisher.publish(OrderPlaced("2"))
            publisher.publish(OrderPlaced("3"), correlation_id="argument")
        publisher.publish(OrderPlaced("4"))
    publisher.publish(OrderPlaced("5"))
    settle(publisher)
    said = {envelope["data"]["order_id"]: envelope["correlation_id"] for envelope in transport.events()}
    last = said.pop("5")
    assert said == {"1": "outer", "2": "inner", "3": "argument", "4": "outer"}
    assert UUID(last).version == 7
    assert current_correlation_id() is None


def test_where_events_go(make_publisher: MakePublisher, transport: InMemoryTransport) -> None:
    publisher = make_publisher(
        topic="the-default", topics={"logical": "real"}, topic_map={"mapped.*": "logical"}
    )
    publisher.publish(OrderPlaced("o"))
    publisher.publish({}, event_type="mapped.one")
    publisher.publish({}, event_type="other.one")
    publisher.publish(OrderPlaced("o"), topic="logical")
    publisher.set_topic_mapping("order.placed", "later")
    publisher.publish(OrderPlaced("o"))
    publisher.set_topic_mapping("order.*", "ignored")  # the exact one goes first
    publisher.publish(OrderPlaced("o"))
    publisher.set_topic_mapping("order.placed", "last")
    publisher.publish(OrderPlaced("o"))
    settle(publisher)
    assert [record.topic for record in transport.records] == [
        "orders",
        "real",
        "the-default",
        "real",
        "later",
        "later",
        "last",
    ]
    assert publisher.topic_for("order.placed") == "last"
    assert publisher.topic_for("mapped.two") == "real"


def test_equal_keys_share_a_partition_in_order(publisher: Publisher, transport: InMemoryTransport) -> None:
    for number in range(200):
        publisher.publish(OrderPlaced(f"o-{number % 5}", number))
    settle(publisher)
    for key in {record.key for record in transport.records}:
        totals = [record.json()["data"]["total"] for record in transport.records if record.key == key]
        assert totals == sorted(totals)
        assert len({record.partition for record in transport.records if record.key == key}) == 1


def test_the_small_contracts_send(publisher: Publisher, transport: InMemoryTransport) -> None:
    sender = publisher.sender("a-topic")
    delivery = sender.send("k", OrderPlaced("o"))
    assert delivery is not None
    assert delivery.wait(LONG).topic == "a-topic"
    sender.close()
    publisher.send_message(None, None, b"\x00").wait(LONG)
    assert transport.records[0].value == b'{"order_id":"o","total":0}'
    assert (transport.records[1].topic, transport.records[1].value) == ("default-events", b"\x00")


def test_nothing_starts_before_the_first_event() -> None:
    class Untouched(InMemoryTransport):
        def poll(self, timeout: float) -> int:
            pytest.fail("polled, and nothing was published")

    with Publisher(transport=Untouched()) as publisher:
        assert publisher.stats().accepted == 0
        assert publisher.flush(0)
    assert publisher.stats().is_closed


def test_the_logger_is_the_one_given(make_publisher: MakePublisher, transport: InMemoryTransport) -> None:
    lines: list[str] = []

    class Given(logging.Logger):
        def _log(self, level: int, msg: object, *_: object, **__: object) -> None:
            lines.append(str(msg))

    publisher = make_publisher(logger=Given("given"))
    doom(transport)
    publisher.publish(OrderPlaced("o"))
    settle(publisher)
    assert lines
    assert "event lost" in lines[0]


def test_settings_and_overrides(make_publisher: MakePublisher, tmp_path: Any) -> None:
    with pytest.raises(ConfigError):
        make_publisher(no_such_setting=1)
    path = tmp_path / "tidings.yaml"
    path.write_text(json.dumps({"KAFKA": {"BROKERS": ["b:9092"], "TOPIC": "from-yaml"}}))
    with Publisher.from_yaml(path, transport=InMemoryTransport()) as publisher:
        assert publisher.topic_for("anything") == "from-yaml"


def test_repr_says_what_it_is_and_holds_no_payload(
    publisher: Publisher, transport: InMemoryTransport
) -> None:
    transport.down()
    delivery = publisher.publish({"secret": "hunter2"}, event_type="a.b")
    assert "1 accepted, 1 in flight" in repr(publisher)
    assert delivery.event_id in repr(delivery)
    assert "hunter2" not in repr(delivery)
    transport.up()


def test_made_up_event_types_do_not_pile_up(publisher: Publisher) -> None:
    for number in range(10_050):
        publisher.publish({}, event_type=f"type.{number}")
    assert len(publisher._made) <= 10_000
    settle(publisher)
