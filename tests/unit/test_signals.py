"""Signals: who listens is told of what is rare, on the notify thread, and can harm nobody."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from tidings import DeliveryError, InvalidTopic, Publisher, signals
from tidings.testing import InMemoryTransport


@pytest.fixture
def heard() -> list[signals.Signal]:
    return []


def _publisher(transport: InMemoryTransport, tmp_path: Path, **settings: Any) -> Publisher:
    return Publisher(transport=transport, service="tests", store_dir=tmp_path, **settings)


def test_a_refusal_is_told(heard: list[signals.Signal], tmp_path: Path) -> None:
    with _publisher(InMemoryTransport(), tmp_path) as publisher:
        publisher.listen(heard.append, signals.Rejected)
        with pytest.raises(InvalidTopic):
            publisher.publish_json("a b", 1, event_id="e-1")
    (signal,) = heard
    assert isinstance(signal, signals.Rejected)
    assert (signal.code, signal.event_id, signal.topic) == ("KAFKA_INVALID_TOPIC", "e-1", "a b")


def test_the_end_is_told_with_its_report(heard: list[signals.Signal], tmp_path: Path) -> None:
    publisher = _publisher(InMemoryTransport(), tmp_path)
    publisher.listen(heard.append)
    publisher.publish_json("t", 1)
    report = publisher.close()
    (signal,) = heard
    assert isinstance(signal, signals.Closed)
    assert signal.report.delivered == report.delivered == 1


def test_a_loss_is_told(heard: list[signals.Signal]) -> None:
    transport = InMemoryTransport()
    transport.down()
    publisher = Publisher(transport=transport, durability="memory")
    publisher.listen(heard.append, signals.Lost)
    delivery = publisher.publish_json("t", 1, event_id="e-1")
    publisher.close(timeout=0.1)
    assert isinstance(delivery.error, DeliveryError)
    assert [(type(signal), signal.event_id) for signal in heard] == [(signals.Lost, "e-1")]  # type: ignore[attr-defined]


def test_listening_ends(heard: list[signals.Signal], tmp_path: Path) -> None:
    publisher = _publisher(InMemoryTransport(), tmp_path)
    stop = publisher.listen(heard.append)
    stop()
    publisher.close()
    assert not heard


def test_a_listener_that_raises_harms_nobody(
    heard: list[signals.Signal], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def raises(signal: signals.Signal) -> None:
        raise SystemExit(str(threading.current_thread().name))

    with caplog.at_level(logging.ERROR), _publisher(InMemoryTransport(), tmp_path) as publisher:
        publisher.listen(raises)
        publisher.listen(heard.append)
        for _ in range(3):
            with pytest.raises(InvalidTopic):
                publisher.publish_json("a b", 1)
        delivered = publisher.publish_json("t", 1)
        delivered.wait(5)
    assert [type(signal) for signal in heard] == [signals.Rejected] * 3 + [signals.Closed]
    told = [vars(record) for record in caplog.records if "a callback raised" in record.getMessage()]
    assert "was told of Rejected(" in told[0]["msg"]
    assert sum(it.get("count", 1) for it in told) == 4


def test_a_slow_listener_holds_nobody_and_is_bounded(tmp_path: Path) -> None:
    gate = threading.Event()
    with _publisher(InMemoryTransport(), tmp_path) as publisher:
        publisher.listen(lambda _: gate.wait(10), signals.Rejected)
        for _ in range(10_100):
            with pytest.raises(InvalidTopic):
                publisher.publish_json("a b", 1)
        listening = publisher._engine.signals
        assert 98 <= listening.missed <= 100
        gate.set()
