"""The contract of consuming, as tests: what is committed and when, groups, windows, outages and the end."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from tidings import ConsumeError, Consumer, Message, Publisher, Stop
from tidings.testing.consumer_suite import WAIT, ConsumerCarrier, ConsumerSuite, eventually
from tidings.testing.contract import Placed
from tidings.testing.memory import InMemoryTransport


def _publish(publisher: Publisher, topic: str, numbers: range) -> None:
    for number in numbers:
        publisher.publish(Placed(f"o-{number}", number), topic=topic)
    assert publisher.flush(WAIT)


def _collects(consumer: Consumer) -> list[int]:
    """What it handles, from now on."""
    seen: list[int] = []

    @consumer.on(Placed)
    def handle(order: Placed) -> None:
        seen.append(order.total)

    return seen


def _has_handled(consumer: Consumer, count: int) -> bool:
    return consumer.stats().handled == count


class OffsetContract(ConsumerSuite):
    """What holds of offsets on every transport."""

    def test_the_next_life_goes_on_where_the_last_one_ended(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        for life in range(2):
            _publish(publisher, topic, range(20 * life, 20 * life + 20))
            consumer = carrier.consumer(topics=topic, group_id=group)
            seen = _collects(consumer)
            assert consumer.health().cause == "not_started"
            with consumer:
                assert eventually(partial(_has_handled, consumer, 20))
                assert consumer.health().ok
                assert set(consumer.stats().partitions) == {(topic, it) for it in range(carrier.partitions)}
            report = consumer.close()
            assert (report.handled, report.unfinished, report.left) == (20, 0, True)
            assert consumer.health().cause == "closed"
            assert sorted(seen) == list(range(20 * life, 20 * life + 20))
            assert sum(carrier.committed(topic, group).values()) == 20 * life + 20

    def test_outputs_are_in_kafka_before_their_inputs_offset(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        elsewhere = InMemoryTransport()
        elsewhere.down()
        consumer = carrier.consumer(topics=topic, group_id=group)
        _publish(publisher, topic, range(10))
        with Publisher(transport=elsewhere) as outputs:

            @consumer.on(Placed)
            def handle(order: Placed) -> None:
                outputs.publish(Placed(order.order_id, -order.total), topic="billed")

            with consumer:
                for number in range(10, 13):  # one at a time, so that polls come and go meanwhile
                    assert eventually(partial(_has_handled, consumer, number))
                    _publish(publisher, topic, range(number, number + 1))
                assert eventually(partial(_has_handled, consumer, 13))
                assert not any(it.position for it in consumer.stats().partitions.values())
                assert not any(carrier.committed(topic, group).values())
                elsewhere.up()
                assert eventually(
                    lambda: sum(it.position or 0 for it in consumer.stats().partitions.values()) == 13
                )
        assert len(elsewhere.records) == 13
        assert sum(carrier.committed(topic, group).values()) == 13
        inputs = {it.json()["event_id"]: it.json()["correlation_id"] for it in carrier.read(topic, 13)}
        correlations = {it.json()["correlation_id"] for it in elsewhere.records}
        assert correlations == {correlation or event_id for event_id, correlation in inputs.items()}

    def test_stop_leaves_the_event_to_the_next_life(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        _publish(publisher, topic, range(1))
        first = carrier.consumer(topics=topic, group_id=group)

        @first.on(Placed)
        def stop(order: Placed) -> None:
            raise Stop

        report = first.run()
        assert (report.handled, report.unfinished, report.left) == (0, 1, True)
        second = carrier.consumer(topics=topic, group_id=group)
        seen = _collects(second)
        with second:
            assert eventually(lambda: seen == [0])

    def test_closing_waits_no_longer_than_it_may_and_commits_nothing_unfinished(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        _publish(publisher, topic, range(1))
        is_in_hand, may_end = threading.Event(), threading.Event()
        consumer = carrier.consumer(topics=topic, group_id=group)

        @consumer.on(Placed)
        def handle(order: Placed) -> None:
            is_in_hand.set()
            assert may_end.wait(WAIT)

        try:
            consumer.start()
            assert is_in_hand.wait(WAIT)
            report = consumer.close(0.1)
            assert (report.handled, report.unfinished) == (0, 1)
            assert consumer.close() is report
        finally:
            may_end.set()
        assert not any(carrier.committed(topic, group).values())

    # -- groups

    def test_every_group_gets_everything(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        consumers = [carrier.consumer(topics=topic, group_id=f"{group}-{number}") for number in range(2)]
        everything = [_collects(consumer) for consumer in consumers]
        with consumers[0], consumers[1]:
            _publish(publisher, topic, range(20))
            assert eventually(lambda: all(len(seen) == 20 for seen in everything))
        assert sorted(everything[0]) == sorted(everything[1]) == list(range(20))

    def test_members_share_the_partitions_and_take_over(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        first, second = (carrier.consumer(topics=topic, group_id=group) for _ in range(2))
        by_first, by_second = _collects(first), _collects(second)
        with first:
            assert eventually(lambda: len(first.stats().partitions) == carrier.partitions)
            with second:
                assert eventually(lambda: len(second.stats().partitions) == carrier.partitions // 2)
                assert eventually(lambda: len(first.stats().partitions) == carrier.partitions // 2)
                _publish(publisher, topic, range(40))
                assert eventually(lambda: len({*by_first, *by_second}) == 40)
                assert by_first
                assert by_second
            assert eventually(lambda: len(first.stats().partitions) == carrier.partitions)
            _publish(publisher, topic, range(40, 80))
            assert eventually(lambda: len({*by_first, *by_second}) == 80)
        assert sum(carrier.committed(topic, group).values()) == 80

    def test_a_regular_expression_finds_topics_by_their_names(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        other = carrier.new_topic()
        _publish(publisher, topic, range(5))
        _publish(publisher, other, range(5, 10))
        consumer = carrier.consumer(topics=f"^{topic[:-1]}.$", group_id=group)
        seen = _collects(consumer)
        with consumer:
            assert eventually(lambda: sorted(seen) == list(range(5)))
            assert {name for name, _ in consumer.stats().partitions} == {topic}

    # -- going back

    def test_seeking_and_rewinding_read_again(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        consumer = carrier.consumer(topics=topic, group_id=group)
        seen: list[tuple[int, int]] = []

        @consumer.on(Placed)
        def handle(message: Message[Placed]) -> None:
            seen.append((message.partition, message.offset))

        with pytest.raises(ConsumeError, match="not started"):
            consumer.seek(topic, 0, 0)
        _publish(publisher, topic, range(20))
        with consumer:
            assert eventually(lambda: len(seen) == 20)
            partition, last = max(seen)
            consumer.seek(topic, partition, last)
            assert eventually(lambda: seen[20:] == [(partition, last)])
            with pytest.raises(ConsumeError, match="not assigned"):
                consumer.seek(topic, 99, 0)
            if carrier.tells_time:
                consumer.rewind(datetime.now(UTC) - timedelta(hours=1))
                assert eventually(lambda: len(seen) == 41)
                assert sorted(seen[21:]) == sorted(seen[:20])
                consumer.rewind(datetime.now(UTC) + timedelta(hours=1))
                _publish(publisher, topic, range(20, 21))
                assert eventually(lambda: len(seen) == 42)

    # -- too much, and nothing

    def test_no_more_is_held_than_the_window_allows(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        window, total = 10_000, 12_000
        may_begin = threading.Event()
        consumer = carrier.consumer(topics=topic, group_id=group)

        @consumer.on(Placed)
        def handle(order: Placed) -> None:
            may_begin.wait(WAIT)

        for number in range(total):
            publisher.publish(Placed("one-key", number), topic=topic)
        assert publisher.flush(WAIT)
        with consumer:
            try:
                assert eventually(lambda: any(it.is_paused for it in consumer.stats().partitions.values()))
                (full,) = (it for it in consumer.stats().partitions.values() if it.is_paused)
                assert window <= full.held < total
                assert eventually(
                    lambda: sum(it.lag or 0 for it in consumer.stats().partitions.values()) == total
                )
            finally:
                may_begin.set()
            assert eventually(lambda: consumer.stats().handled == total)
        assert sum(carrier.committed(topic, group).values()) == total

    def test_an_outage_loses_nothing(
        self, carrier: ConsumerCarrier, publisher: Publisher, topic: str, group: str
    ) -> None:
        if not carrier.can_fail:
            pytest.skip("this broker is not ours to stop")
        consumer = carrier.consumer(topics=topic, group_id=group)
        seen = _collects(consumer)
        _publish(publisher, topic, range(10))
        with consumer:
            assert eventually(lambda: len(seen) == 10)
            carrier.down()
            try:
                deliveries = [
                    publisher.publish(Placed("o", 10 + number), topic=topic) for number in range(10)
                ]
                with pytest.raises(TimeoutError):
                    deliveries[-1].wait(0.3)
                assert len(seen) == 10
            finally:
                carrier.up()
            assert publisher.flush(WAIT)
            assert eventually(lambda: set(seen) == set(range(20)))
            assert eventually(lambda: consumer.health().ok)
        assert sum(carrier.committed(topic, group).values()) == len(carrier.read(topic, 20))
