"""Transports that misbehave: the engine survives a stumble, says when it cannot, accounts for all."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from support.books import LONG, MakePublisher, check_books, doom, settle
from support.events import OrderPlaced
from support.ids import named
from support.processes import wait_until
from tidings import HealthStatus, Publisher, PublisherClosed, PublisherFailed, State
from tidings.publishing.transport import Report
from tidings.testing.memory import InMemoryTransport
from tidings.testing.memorykafka import Headers


class Stumbling(InMemoryTransport):
    """Raises ``error`` in its next ``times`` polls."""

    def __init__(self, error: BaseException, times: int) -> None:
        super().__init__()
        self.error = error
        self.times = times

    def poll(self, timeout: float) -> int:
        if self.times > 0:
            self.times -= 1
            raise self.error
        return super().poll(timeout)


def in_thread(publisher: Publisher, count: int = 1) -> None:
    """Publish on another thread than the main one."""
    thread = threading.Thread(target=lambda: [publisher.publish(OrderPlaced("o")) for _ in range(count)])
    thread.start()
    thread.join(LONG)


def critical(caplog: pytest.LogCaptureFixture, word: str) -> int:
    return sum(record.levelno == logging.CRITICAL and word in record.message for record in caplog.records)


@pytest.mark.parametrize("times", [1, 2])
def test_the_pump_survives_a_stumble(
    make_publisher: MakePublisher, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Stumbling(RuntimeError("a defect"), times)
    publisher = make_publisher(transport=transport)
    in_thread(publisher)
    assert wait_until(lambda: publisher.stats().delivered == 1)
    assert critical(caplog, "stumbled") == times
    assert not publisher.stats().failed
    assert publisher.health().ok


def test_the_third_stumble_fails_the_publisher(
    make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Stumbling(RuntimeError("a defect"), 10**9)
    publisher = make_publisher(transport=transport)
    in_thread(publisher)
    assert wait_until(lambda: publisher.stats().failed)
    with pytest.raises(PublisherFailed, match="a defect"):
        publisher.publish(OrderPlaced("o"))
    health = publisher.health()
    assert (health.status, health.cause) == (HealthStatus.UNHEALTHY, "failed")
    assert "a defect" in health.message
    assert wait_until(lambda: critical(caplog, "stumbled") == 3), "said three times, not for ever"
    stats = check_books(publisher)
    assert (stats.accepted, stats.rejected, stats.in_flight) == (1, 1, 1)
    report = publisher.close(LONG)
    assert (report.lost, report.in_flight) == (1, 0)
    with pytest.raises((PublisherClosed, PublisherFailed)):
        publisher.publish(OrderPlaced("o"))


def test_a_fatal_error_of_the_client_has_it_made_anew(
    make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Stumbling(KafkaException(KafkaError(KafkaError._FATAL, "fenced")), 3)
    publisher = make_publisher(transport=transport)
    in_thread(publisher)
    assert wait_until(lambda: publisher.stats().delivered == 1)
    assert critical(caplog, "made anew") >= 1
    assert not publisher.stats().failed
    assert publisher.publish(OrderPlaced("o")).wait(LONG).state is State.DELIVERED


def test_a_client_that_is_fatal_for_ever_is_made_anew_in_steps(
    make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Stumbling(KafkaException(KafkaError(KafkaError._FATAL, "fenced")), 0)
    publisher = make_publisher(transport=transport)
    publisher.publish(OrderPlaced("o")).wait(LONG)
    assert wait_until(lambda: len(transport) == 0)
    transport.times = 10**9
    assert wait_until(lambda: critical(caplog, "made anew") == 2)
    publisher.close(0)
    assert critical(caplog, "made anew") <= 3, "a second, two seconds, four …"


def test_a_fatal_error_while_nothing_is_out(make_publisher: MakePublisher) -> None:
    transport = Stumbling(KafkaException(KafkaError(KafkaError._FATAL, "fenced")), 0)
    publisher = make_publisher(transport=transport)
    publisher.publish(OrderPlaced("o")).wait(LONG)
    assert wait_until(lambda: len(transport) == 0)
    transport.times = 1
    assert wait_until(lambda: publisher._engine.rebuilds == 1)
    assert publisher.publish(OrderPlaced("o")).wait(LONG).state is State.DELIVERED


def test_a_logger_that_raises_does_not_kill_the_pump(make_publisher: MakePublisher) -> None:
    class Broken(logging.Logger):
        def _log(self, *_: object, **__: object) -> None:
            raise OSError("disk full")

    transport = Stumbling(RuntimeError("a defect"), 1)
    publisher = make_publisher(transport=transport, logger=Broken("broken"))
    in_thread(publisher)
    assert wait_until(lambda: publisher.stats().delivered == 1)
    doom(transport, 5)
    in_thread(publisher, 10)
    stats = settle(publisher)
    assert (stats.lost, stats.delivered, stats.failed) == (5, 6, False)
    with pytest.raises(OSError, match="disk full"):  # on the caller's own thread it is the caller's
        publisher.close()
    assert publisher.close().in_flight == 0


class Odd(InMemoryTransport):
    """produce() raises ``error`` now and then, before or after it has taken the record."""

    def __init__(self, error: BaseException, *, taken: bool) -> None:
        super().__init__()
        self.error = error
        self.taken = taken
        self.odd = 0

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        report: Report,
        _unused: None,
        timestamp: int,
        headers: Headers,
    ) -> None:
        if self.odd and self.taken:
            self.odd -= 1
            super().produce(topic, value, key, partition, report, None, timestamp, headers)
            raise self.error
        if self.odd:
            self.odd -= 1
            raise self.error
        super().produce(topic, value, key, partition, report, None, timestamp, headers)


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize(
    "error", [RuntimeError("odd"), MemoryError(), KeyboardInterrupt(), SystemExit(2)], ids=named
)
def test_an_odd_error_of_produce_is_raised_and_the_event_is_accounted_for(
    make_publisher: MakePublisher, error: BaseException, taken: bool
) -> None:
    """What produce() has done is not known: the event stays accepted and is sent (again)."""
    transport = Odd(error, taken=taken)
    publisher = make_publisher(transport=transport)
    publisher.publish(OrderPlaced("first")).wait(LONG)
    transport.odd = 1
    with pytest.raises(type(error)):
        publisher.publish(OrderPlaced("o"))
    stats = settle(publisher)
    assert (stats.accepted, stats.delivered, stats.rejected) == (2, 2, 0)
    assert [event["data"]["order_id"] for event in transport.events()] == ["first", "o"]


def test_an_error_of_produce_that_does_not_pass_is_a_loss_that_says_so(
    make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Odd(RuntimeError("odd"), taken=False)
    publisher = make_publisher(transport=transport)
    publisher.publish(OrderPlaced("first")).wait(LONG)
    transport.odd = 2  # at publish(), and when it is sent again
    with pytest.raises(RuntimeError, match="odd"):
        publisher.publish(OrderPlaced("o"))
    stats = settle(publisher)
    assert (stats.delivered, stats.lost) == (1, 1)
    assert critical(caplog, "odd") == 1


@pytest.mark.parametrize("name", ["TOPIC_AUTHORIZATION_FAILED", "_UNKNOWN_TOPIC", "UNKNOWN", "_FATAL"])
@pytest.mark.parametrize(("times", "state"), [(1, State.DELIVERED), (2, State.LOST)])
def test_a_kafka_error_of_produce_that_is_no_refusal_is_the_engines(
    make_publisher: MakePublisher, name: str, times: int, state: State
) -> None:
    transport = Odd(KafkaException(KafkaError(getattr(KafkaError, name))), taken=False)
    publisher = make_publisher(transport=transport)
    transport.odd = times
    delivery = publisher.publish(OrderPlaced("o"))
    settle(publisher)
    assert delivery.state is state
    if state is State.LOST:
        assert name in str(delivery.error)


@pytest.mark.parametrize(
    ("name", "error"), [("MSG_SIZE_TOO_LARGE", "EventTooLarge"), ("_INVALID_ARG", "InvalidEvent")]
)
def test_a_refusal_of_produce_takes_nothing(make_publisher: MakePublisher, name: str, error: str) -> None:
    transport = Odd(KafkaException(KafkaError(getattr(KafkaError, name))), taken=False)
    publisher = make_publisher(transport=transport)
    transport.odd = 1
    raised: Any = None
    try:
        publisher.publish(OrderPlaced("o"))
    except Exception as refusal:
        raised = refusal
    assert type(raised).__name__ == error
    stats = check_books(publisher)
    assert (stats.accepted, stats.rejected) == (0, 1)


def test_health_answers_whatever_breaks(make_publisher: MakePublisher) -> None:
    class Ill(InMemoryTransport):
        def health(self, timeout: float) -> Any:
            raise ZeroDivisionError

    health = make_publisher(transport=Ill()).health()
    assert health.status is HealthStatus.UNHEALTHY


def test_silence_is_unhealthy(make_publisher: MakePublisher) -> None:
    class Mute(InMemoryTransport):
        def poll(self, timeout: float) -> int:
            threading.Event().wait(timeout)
            return 0

    publisher = make_publisher(transport=Mute(), outage_after="100ms", close_timeout="0s")
    assert publisher.health().ok
    publisher.publish(OrderPlaced("o"))
    assert wait_until(lambda: publisher.health().cause == "silent")
    publisher.close(0)
