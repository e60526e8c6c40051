"""EventBuilder and Envelope: what publish() would fill in, filled in before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tidings import Envelope, EventBuilder, InvalidEvent, Publisher, Registry, correlation
from tidings.testing import InMemoryTransport

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)


@Registry().event("order.placed", topic="orders", key="order_id", version="3")
class Placed(msgspec.Struct):
    order_id: str


def test_a_builder_fills_in_everything() -> None:
    builder = EventBuilder("shop", "2.1").with_correlation_id("req-1").with_causation_id("cause")
    before = datetime.now(UTC)
    envelope = builder.build({"a": 1}, event_type="cart.filled")
    assert envelope.timestamp is not None
    assert before <= envelope.timestamp <= datetime.now(UTC)
    assert envelope == Envelope(
        data={"a": 1},
        event_type="cart.filled",
        event_id=envelope.event_id,
        timestamp=envelope.timestamp,
        source="shop",
        version="2.1",
        correlation_id="req-1",
        causation_id="cause",
    )


def test_a_class_knows_its_type_and_version() -> None:
    envelope = EventBuilder("shop", "2.1").build(Placed("o-1"))
    assert (envelope.event_type, envelope.version) == ("order.placed", "3")


def test_builders_do_not_change() -> None:
    builder = EventBuilder("shop")
    builder.with_correlation_id("req-1")
    envelope = builder.build(Placed("o-1"))
    assert envelope.correlation_id == envelope.event_id


def test_the_correlation_id_of_the_context() -> None:
    with correlation("from-context"):
        assert EventBuilder("shop").build(Placed("o")).correlation_id == "from-context"
        assert EventBuilder("shop").with_correlation_id("own").build(Placed("o")).correlation_id == "own"


def test_what_follows_from_an_event_says_so() -> None:
    cause = EventBuilder("shop").with_correlation_id("req-1").build(Placed("o-1"))
    effect: Envelope[Any] = EventBuilder("mail").caused_by(cause).build({}, event_type="mail.sent")
    assert (effect.correlation_id, effect.causation_id) == ("req-1", cause.event_id)


def test_a_payload_without_a_type_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="dict is not a declared event"):
        EventBuilder("shop").build({})


def test_an_envelope_is_published_as_it_is() -> None:
    transport = InMemoryTransport()
    builder = EventBuilder("elsewhere", "9").with_correlation_id("req-1").with_causation_id("cause")
    envelope = builder.build(Placed("o-1"), event_id="e-1", timestamp=MOMENT)
    with Publisher(transport=transport, service="shop") as publisher:
        delivery = publisher.publish(envelope)
    (record,) = transport.records
    assert (delivery.event_id, record.topic, record.key) == ("e-1", "orders", b"o-1")
    assert record.json() == {
        "event_id": "e-1",
        "event_type": "order.placed",
        "timestamp": "2026-01-02T03:04:05.678000Z",
        "source": "elsewhere",
        "version": "3",
        "correlation_id": "req-1",
        "causation_id": "cause",
        "data": {"order_id": "o-1"},
    }


def test_what_an_envelope_leaves_open_is_filled_in_and_arguments_go_first() -> None:
    transport = InMemoryTransport()
    with Publisher(transport=transport, service="shop", version="1.5") as publisher:
        publisher.publish(Envelope(data={}, event_type="cart.filled"))
        publisher.publish(
            Envelope(data=Placed("o-1"), event_id="e-1", correlation_id="c-1"),
            event_id="e-2",
            correlation_id="c-2",
            topic="elsewhere",
            key="k",
        )
    first, second = transport.records
    assert (first.topic, first.json()["source"], first.json()["version"]) == ("default-events", "shop", "1.5")
    assert (second.topic, second.key) == ("elsewhere", b"k")
    assert (second.json()["event_id"], second.json()["correlation_id"]) == ("e-2", "c-2")


@pytest.mark.parametrize("extensions", [{"event_id": "x"}, {"data": 1}])
def test_an_extension_may_not_take_a_field_of_the_envelope(extensions: dict[str, object]) -> None:
    with (
        Publisher(transport=InMemoryTransport()) as publisher,
        pytest.raises(InvalidEvent, match="own fields"),
    ):
        publisher.publish(Envelope(data={}, event_type="a.b", extensions=extensions))


def test_a_naive_timestamp_is_refused() -> None:
    with (
        Publisher(transport=InMemoryTransport()) as publisher,
        pytest.raises(InvalidEvent, match="time zone"),
    ):
        publisher.publish(Envelope(data={}, event_type="a.b", timestamp=datetime(2026, 1, 1)))
