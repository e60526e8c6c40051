"""The contract every transport keeps, as tests: one suite for memory, the embedded broker and real Kafka.

class TestMine(PublisherContract):
    @pytest.fixture
    def carrier(self):
        return MyCarrier()
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import pytest

from tidings import DeliveryError, InvalidTopic, Publisher, PublisherClosed, State, correlation
from tidings.events.declare import Registry
from tidings.testing.memory import InMemoryRecord

_WAIT = 60.0
"""Seconds any single wait of this suite may take."""


class Carrier(Protocol):
    """A transport under test: makes publishers on it, and reads back what it carried, by other means."""

    partitions: int
    can_fail: bool
    """Whether ``down`` and ``up`` work."""
    tells_time: bool
    """Whether its acknowledgements are true about timestamps (librdkafka's mock says 1234, always)."""

    def publisher(self, **overrides: Any) -> Publisher:
        """A publisher on this transport; the caller closes it."""

    def read(self, topic: str, count: int) -> list[InMemoryRecord]:
        """At least ``count`` records of a topic, in order per partition, and any beyond that are there."""

    def new_topic(self) -> str:
        """The name of a topic nobody used yet, ready for use."""

    def down(self) -> None:
        """Stop carrying."""

    def up(self) -> None:
        """Carry again."""


class Placed(msgspec.Struct):
    """The event of this suite."""

    order_id: str
    total: int


_registry = Registry()
_registry.event("contract.placed", key="order_id")(Placed)


class PublisherContract:
    """What holds on every transport. A subclass gives the fixture ``carrier``; where making a publisher takes
    long, also ``publisher``, which may be one for all tests."""

    @pytest.fixture
    def topic(self, carrier: Carrier) -> str:
        return carrier.new_topic()

    @pytest.fixture
    def publisher(self, carrier: Carrier) -> Iterator[Publisher]:
        with balanced(carrier.publisher(service="contract")) as publisher:
            yield publisher

    # -- one record

    def test_a_typed_event_arrives_where_its_receipt_says(
        self, carrier: Carrier, publisher: Publisher, topic: str
    ) -> None:
        with correlation("request-1"):
            delivery = publisher.publish(Placed("o-1", 4200), topic=topic)
        receipt = delivery.wait(_WAIT)
        (record,) = carrier.read(topic, 1)
        assert (receipt.state, receipt.topic, receipt.attempts) == (State.DELIVERED, topic, 1)
        assert (record.partition, record.offset) == (receipt.partition, receipt.offset)
        assert not carrier.tells_time or record.timestamp == receipt.timestamp
        assert record.key == b"o-1"
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
        assert envelope["data"] == {"order_id": "o-1", "total": 4200}
        assert envelope["source"] == "contract"
        assert record.headers == [
            ("event_id", receipt.event_id.encode()),
            ("event_type", b"contract.placed"),
            ("correlation_id", b"request-1"),
            ("content-type", b"application/json"),
        ]
        assert envelope["event_id"] == receipt.event_id == delivery.event_id
        assert envelope["correlation_id"] == "request-1"

    @pytest.mark.parametrize(
        ("value", "key"), [(b"\x00\xff raw", b"\x80"), (b"", None), (None, "tombstone"), ("ü".encode(), 7)]
    )
    def test_bytes_go_as_they_are(
        self, carrier: Carrier, publisher: Publisher, topic: str, value: bytes | None, key: Any
    ) -> None:
        headers = {"trace": b"\x00\x01", "note": "grüße", "none": None}
        receipt = publisher.produce(topic, value, key, headers=headers).wait(_WAIT)
        (record,) = carrier.read(topic, 1)
        assert record.value == value
        assert record.key == (key if isinstance(key, bytes | None) else str(key).encode())
        assert record.headers == [
            ("trace", b"\x00\x01"),
            ("note", "grüße".encode()),
            ("none", None),
            ("event_id", receipt.event_id.encode()),
        ]

    def test_json_goes_without_an_envelope(self, carrier: Carrier, publisher: Publisher, topic: str) -> None:
        data = {"text": "ünï", "list": [1, 2.5, None, True], "when": datetime(2026, 1, 2, tzinfo=UTC)}
        publisher.publish_json(topic, data, key="k").wait(_WAIT)
        (record,) = carrier.read(topic, 1)
        assert record.json() == {"text": "ünï", "list": [1, 2.5, None, True], "when": "2026-01-02T00:00:00Z"}
        assert ("content-type", b"application/json") in record.headers

    def test_partition_and_timestamp_are_the_users(
        self, carrier: Carrier, publisher: Publisher, topic: str
    ) -> None:
        when = datetime.now(UTC)
        receipt = publisher.produce(topic, b"x", partition=2, timestamp=when).wait(_WAIT)
        (record,) = carrier.read(topic, 1)
        assert (record.partition, receipt.partition) == (2, 2)
        assert record.timestamp == int(when.timestamp() * 1000)
        assert not carrier.tells_time or receipt.timestamp == record.timestamp

    def test_small_contracts(self, carrier: Carrier, publisher: Publisher, topic: str) -> None:
        sender = publisher.sender(topic)
        sender.send("a", {"n": 1})
        sender.send("b", b"\x00")
        sender.close()
        publisher.send_message(topic, None, Placed("o", 2))
        assert publisher.flush(_WAIT)
        values = {record.value for record in carrier.read(topic, 3)}
        assert values == {b'{"n":1}', b"\x00", b'{"order_id":"o","total":2}'}

    # -- many records

    def test_order_holds_per_key(self, carrier: Carrier, publisher: Publisher, topic: str) -> None:
        for number, key in itertools.product(range(300), ("a", "b", "c")):
            publisher.produce(topic, str(number).encode(), key)
        assert publisher.flush(_WAIT)
        seen: dict[bytes | None, list[int]] = {}
        for record in carrier.read(topic, 900):
            seen.setdefault(record.key, []).append(int(record.value or b""))
        assert seen == {key: list(range(300)) for key in (b"a", b"b", b"c")}

    def test_threads_and_a_loop_share_one_publisher(
        self, carrier: Carrier, publisher: Publisher, topic: str
    ) -> None:
        def in_thread() -> None:
            for number in range(200):
                publisher.publish(Placed("t", number), topic=topic)

        async def in_loop() -> None:
            receipts = await asyncio.gather(
                *(_awaited(publisher, Placed("l", number), topic) for number in range(200))
            )
            assert {receipt.state for receipt in receipts} == {State.DELIVERED}

        threads = [threading.Thread(target=in_thread) for _ in range(4)]
        for thread in threads:
            thread.start()
        asyncio.run(asyncio.wait_for(in_loop(), _WAIT))
        for thread in threads:
            thread.join()
        assert publisher.flush(_WAIT)
        ids = Counter(record.json()["event_id"] for record in carrier.read(topic, 1000))
        assert len(ids) == 1000
        assert set(ids.values()) == {1}

    def test_one_publisher_serves_many_topics(self, carrier: Carrier, publisher: Publisher) -> None:
        topics = [carrier.new_topic() for _ in range(20)]
        batches = [publisher.publish_batch([Placed("o", n) for n in range(3)], topic=name) for name in topics]
        assert publisher.flush(_WAIT)
        assert all(len(batch) == 3 and not batch.rejected for batch in batches)
        for name in topics:
            assert sorted(record.json()["data"]["total"] for record in carrier.read(name, 3)) == [0, 1, 2]

    # -- waiting

    def test_callbacks_come_after_the_counters(self, publisher: Publisher, topic: str) -> None:
        called = threading.Event()
        before = publisher.stats().delivered
        seen: list[tuple[State, int]] = []

        def callback(delivery: Any) -> None:
            seen.append((delivery.state, publisher.stats().delivered))
            called.set()

        publisher.publish(Placed("o", 1), topic=topic).add_done_callback(callback)
        assert called.wait(_WAIT)
        assert seen == [(State.DELIVERED, before + 1)]

    def test_flush_and_drain_wait_for_what_was_accepted(self, publisher: Publisher, topic: str) -> None:
        before = publisher.stats().delivered
        for number in range(500):
            publisher.publish(Placed("o", number), topic=topic)
        assert publisher.flush(_WAIT)
        assert publisher.stats().delivered == before + 500

        async def again() -> bool:
            for number in range(500):
                publisher.publish(Placed("o", number), topic=topic)
            return await publisher.drain(_WAIT)

        assert asyncio.run(again())
        assert publisher.stats().delivered == before + 1000

    # -- trouble

    def test_a_partition_that_does_not_exist_is_a_loss_that_says_so(
        self, carrier: Carrier, topic: str
    ) -> None:
        publisher = carrier.publisher(durability="memory", retry_max=1)
        publisher.produce(topic, b"x").wait(_WAIT)  # from now on the client knows the topic's partitions
        delivery = publisher.produce(topic, b"x", partition=carrier.partitions)
        with pytest.raises(DeliveryError) as raised:
            delivery.wait(_WAIT)
        assert raised.value.kafka_error == "_UNKNOWN_PARTITION"
        assert raised.value.certainty == "not_delivered"
        assert delivery.state is State.LOST
        assert publisher.stats().lost == 1

    @pytest.mark.parametrize("name", ["", ".", "..", "a b", "x" * 250, "ü"])
    def test_an_impossible_topic_is_refused(self, publisher: Publisher, name: str) -> None:
        before = publisher.stats().accepted
        with pytest.raises(InvalidTopic):
            publisher.produce(name, b"x")
        assert publisher.stats().accepted == before

    def test_an_outage_ends_in_delivery(self, carrier: Carrier, publisher: Publisher, topic: str) -> None:
        if not carrier.can_fail:
            pytest.skip("this broker is not ours to stop")
        before = publisher.stats().delivered
        publisher.publish(Placed("before", 0), topic=topic).wait(_WAIT)
        carrier.down()
        try:
            deliveries = [publisher.publish(Placed("during", number), topic=topic) for number in range(50)]
            with pytest.raises(TimeoutError):
                deliveries[-1].wait(0.3)
            assert not publisher.health(2).ok
            stats = publisher.stats()
            assert stats.in_flight + stats.stored == 50
        finally:
            carrier.up()
        assert publisher.flush(_WAIT)
        assert {delivery.wait(0).state for delivery in deliveries} <= {State.DELIVERED, State.STORED}
        assert publisher.stats().delivered == before + 51
        assert len(carrier.read(topic, 51)) == 51
        assert publisher.health(10).ok

    def test_closing_delivers_what_is_in_flight(self, carrier: Carrier, topic: str) -> None:
        publisher = carrier.publisher()
        for number in range(1000):
            publisher.publish(Placed("o", number), topic=topic)
        report = publisher.close(_WAIT)
        assert (report.accepted, report.delivered, report.in_flight) == (1000, 1000, 0)
        assert publisher.close() is report
        assert len(carrier.read(topic, 1000)) == 1000
        with pytest.raises(PublisherClosed):
            publisher.publish(Placed("o", 1), topic=topic)
        assert publisher.audit() == publisher.stats()


async def _awaited(publisher: Publisher, event: Placed, topic: str) -> Any:
    return await publisher.publish(event, topic=topic)


@contextmanager
def balanced(publisher: Publisher) -> Iterator[Publisher]:
    """Close the publisher at the end, and have its books checked."""
    with publisher:
        yield publisher
    stats = publisher.stats()
    assert stats.balanced
    assert stats.in_flight == 0
    assert publisher.audit() == stats


def unique_topic() -> str:
    """A topic name nobody has used."""
    return f"contract-{uuid.uuid4().hex[:12]}"
