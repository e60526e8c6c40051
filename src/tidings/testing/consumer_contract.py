"""The contract of consuming, as tests: one suite for memory, the embedded broker and real Kafka.

class TestMine(ConsumerContract):
    @pytest.fixture
    def carrier(self):
        return MyCarrier()
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, defaultdict
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import pytest

from tidings import Message, Publisher, Reject, Retry, correlation, current_correlation_id
from tidings.testing.consumer_offsets import OffsetContract
from tidings.testing.consumer_suite import WAIT, ConsumerCarrier, eventually, handler_of, letters_of
from tidings.testing.contract import Placed

__all__ = ["ConsumerCarrier", "ConsumerContract"]

_FORMS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


class Order(msgspec.Struct):
    """What the data of an event may be read as: no declared event."""

    order_id: str
    total: int


class ConsumerContract(OffsetContract):
    """What holds on every transport. A subclass gives the fixture ``carrier``, a ConsumerCarrier."""

    # -- what a handler gets

    @_FORMS
    def test_a_handler_gets_what_its_annotation_says(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str, is_async: bool
    ) -> None:
        got: dict[str, Any] = {}
        consumer = carrier.consumer(topics=topic, group_id=group)
        kinds = {"as.class": Order, "as.dict": dict, "as.message": Message, "as.both": Message[Order]}
        receipts = {}
        data = {"order_id": "o-1", "total": 4200}
        for event_type, kind in kinds.items():
            keep = partial(got.__setitem__, event_type)
            consumer.on(event_type)(handler_of(kind, keep, is_async=is_async))
            delivery = publisher.publish(
                data,
                event_type=event_type,
                topic=topic,
                key="o-1",
                headers={"trace": b"\x00"},
                correlation_id="request-1",
            )
            receipts[event_type] = delivery.wait(WAIT)
        with consumer:
            assert eventually(lambda: len(got) == len(kinds))
        assert got["as.class"] == Order("o-1", 4200)
        assert got["as.dict"] == got["as.message"].data == data
        message, receipt = got["as.both"], receipts["as.both"]
        assert message.data == Order("o-1", 4200)
        assert (message.event_id, message.event_type) == (receipt.event_id, "as.both")
        assert (message.correlation_id, message.source, message.key) == ("request-1", "contract", b"o-1")
        assert (message.topic, message.partition, message.offset) == (
            topic,
            receipt.partition,
            receipt.offset,
        )
        assert ("trace", b"\x00") in message.headers
        assert isinstance(message.timestamp, datetime)
        assert isinstance(message.record_timestamp, datetime)
        assert message.attempt == 1

    @_FORMS
    def test_batches_come_in_order(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str, is_async: bool
    ) -> None:
        batches: list[list[Message[Placed]]] = []
        consumer = carrier.consumer(topics=topic, group_id=group)
        handler = handler_of(list[Message[Placed]], batches.append, is_async=is_async)
        consumer.on_batch(Placed, most=10)(handler)
        for number in range(100):
            publisher.publish(Placed(f"o-{number}", number), topic=topic)
        assert publisher.flush(WAIT)
        with consumer:
            assert eventually(lambda: sum(map(len, batches)) == 100)
        assert max(map(len, batches)) <= 10
        by_partition: defaultdict[int, list[int]] = defaultdict(list)
        for batch in batches:
            assert len({message.partition for message in batch}) == 1
            by_partition[batch[0].partition] += [message.offset for message in batch]
        assert all(offsets == list(range(len(offsets))) for offsets in by_partition.values())

    @_FORMS
    def test_the_correlation_id_is_in_force(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str, is_async: bool
    ) -> None:
        in_force: dict[int, str | None] = {}
        consumer = carrier.consumer(topics=topic, group_id=group)

        def act(order: Placed) -> None:
            in_force[order.total] = current_correlation_id()

        consumer.on(Placed)(handler_of(Placed, act, is_async=is_async))
        for number in range(20):
            with correlation(f"request-{number}"):
                publisher.publish(Placed(f"o-{number}", number), topic=topic)
        with consumer:
            assert eventually(lambda: len(in_force) == 20)
        assert in_force == {number: f"request-{number}" for number in range(20)}

    def test_async_handlers_run_on_the_applications_loop(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        publisher.publish(Placed("o", 1), topic=topic).wait(WAIT)
        consumer = carrier.consumer(topics=topic, group_id=group)

        async def main() -> None:
            loop, ran_on = asyncio.get_running_loop(), asyncio.Future[object]()

            @consumer.on(Placed)
            async def handle(order: Placed) -> None:
                await asyncio.sleep(0)
                ran_on.set_result(asyncio.get_running_loop())

            async with consumer:
                assert await asyncio.wait_for(ran_on, WAIT) is loop
            assert (await consumer.aclose()).handled == 1

        asyncio.run(main())

    def test_a_topics_handler_takes_what_has_no_type(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        got: list[Any] = []
        consumer = carrier.consumer(group_id=group)
        consumer.subscribe(topic, handler_of(Any, got.append))
        publisher.publish_json(topic, {"plain": True}, key="k")
        publisher.produce(topic, None, "k")
        publisher.publish(Placed("o", 1), topic=topic, key="k")
        with consumer:
            assert eventually(lambda: len(got) == 3)
        assert got == [{"plain": True}, None, {"order_id": "o", "total": 1}]

    # -- when handlers fail

    @_FORMS
    def test_a_key_that_fails_keeps_its_order_and_holds_no_other_up(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str, is_async: bool
    ) -> None:
        seen: defaultdict[str, list[int]] = defaultdict(list)
        consumer = carrier.consumer(topics=topic, group_id=group)

        def act(message: Message[Placed]) -> None:
            order = message.data
            if order.order_id == "bad" and len(seen["x"]) + len(seen["y"]) < 40:
                if message.attempt == 1:
                    raise RuntimeError("not yet")
                raise Retry(after=0.01)
            seen[order.order_id].append(order.total)

        consumer.on(Placed, retries=1000)(handler_of(Message[Placed], act, is_async=is_async))
        for number in range(20):
            for key in ("bad", "x", "y"):
                publisher.publish(Placed(key, number), topic=topic)
        with consumer:
            assert eventually(lambda: len(seen["bad"]) == 20)
        assert seen == {key: list(range(20)) for key in ("bad", "x", "y")}
        assert consumer.stats().retried > 0
        assert consumer.stats().dead_lettered == 0

    def test_after_its_retries_an_event_becomes_a_letter(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        attempts: Counter[int] = Counter()
        dlq = carrier.new_topic()
        consumer = carrier.consumer(topics=topic, group_id=group, dlq_topic=dlq, retry_max=2)

        @consumer.on(Placed)
        def handle(order: Placed) -> None:
            attempts[order.total] += 1
            if order.total == 0:
                raise LookupError("no such order")
            if order.total == 1:
                raise Reject("never")
            if order.total == 2 and attempts[2] == 1:
                raise Retry(after=0)

        receipts = [
            publisher.publish(Placed("o", number), topic=topic, event_id=f"{number}").wait(WAIT)
            for number in range(4)
        ]
        with consumer:
            assert eventually(lambda: consumer.stats().handled == 2)
            assert eventually(lambda: consumer.stats().dead_lettered == 2)
        assert attempts == {0: 3, 1: 1, 2: 2, 3: 1}
        assert sum(carrier.committed(topic, group).values()) == 4
        records = {(it.partition, it.offset): it for it in carrier.read(topic, 4)}
        for number, letter in enumerate(
            sorted(letters_of(carrier, dlq, 2), key=lambda it: it.event_id or "")
        ):
            receipt = receipts[number]
            assert (letter.origin, letter.group, letter.event_id) == ("consumer", group, str(number))
            assert (letter.topic, letter.partition, letter.offset) == (
                topic,
                receipt.partition,
                receipt.offset,
            )
            assert letter.attempt_count == attempts[number]
            assert ("LookupError", "Reject")[number] in letter.failure_reason
            record = records[receipt.partition, receipt.offset]
            assert (letter.value, letter.key) == (record.value, record.key)
            assert letter.record_headers == record.headers

    def test_a_batch_that_fails_is_handed_over_one_by_one(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        dlq = carrier.new_topic()
        handled: list[int] = []
        consumer = carrier.consumer(topics=topic, group_id=group, dlq_topic=dlq)

        @consumer.on_batch(Placed, retries=0)
        def handle(orders: list[Placed]) -> None:
            if any(order.total == 7 for order in orders):
                raise RuntimeError("7")
            handled.extend(order.total for order in orders)

        for number in range(20):
            publisher.publish(Placed("o", number), topic=topic)
        assert publisher.flush(WAIT)
        with consumer:
            assert eventually(lambda: len(handled) == 19)
            assert eventually(lambda: consumer.stats().dead_lettered == 1)
        assert handled == [number for number in range(20) if number != 7]
        (letter,) = letters_of(carrier, dlq, 1)
        assert letter.attempt_count == 1

    # -- what is no event

    def test_what_cannot_be_read_becomes_a_letter_as_it_is(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        dlq = carrier.new_topic()
        handled = threading.Event()
        consumer = carrier.consumer(topics=topic, group_id=group, dlq_topic=dlq)

        @consumer.on(Placed)
        def handle(order: Placed) -> None:
            handled.set()

        bad = [b"\xff\xfe no text", b'{"event_type": "contract.placed", "data": {}}', b"{broken"]
        for value in bad:
            publisher.produce(topic, value, b"\x80")
        publisher.produce(topic, None, "a tombstone")
        publisher.publish(Placed("o", 1), topic=topic)
        with consumer:
            assert handled.wait(WAIT)
            assert eventually(lambda: consumer.stats().dead_lettered == 3)
            assert eventually(lambda: consumer.stats().skipped == 1)
        assert (consumer.stats().undecodable, consumer.stats().failed) == (3, 0)
        letters = letters_of(carrier, dlq, 3)
        assert [letter.value for letter in letters] == sorted(bad)
        assert {(letter.key, letter.origin, letter.topic) for letter in letters} == {
            (b"\x80", "consumer", topic)
        }
        assert sum(carrier.committed(topic, group).values()) == 5

    @pytest.mark.parametrize("policy", ["skip", "letter"])
    def test_unknown_types_are_skipped_or_become_letters(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str, policy: str
    ) -> None:
        dlq = carrier.new_topic()
        consumer = carrier.consumer(topics=topic, group_id=group, dlq_topic=dlq, unknown_types=policy)
        consumer.on("contract.known")(handler_of(dict, lambda _: None))
        for event_type in ("contract.known", "contract.unknown"):
            publisher.publish({"n": 1}, event_type=event_type, topic=topic)
        with consumer:
            assert eventually(lambda: consumer.stats().handled == 1)
            assert eventually(lambda: consumer.stats().skipped + consumer.stats().dead_lettered == 1)
        assert consumer.stats().skipped == (policy == "skip")
        assert sum(carrier.committed(topic, group).values()) == 2
