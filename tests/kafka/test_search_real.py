"""Finding an event on real Kafka by its id, and saying so when that cannot be told."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer

from tidings.events.ids import Stamper
from tidings.kafka.search import find_in_kafka, time_of
from tidings.settings import Settings
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic

_WAIT = 60.0
_HOUR = 3_600_000
Put = Callable[..., None]


@pytest.fixture
def settings(tidings_own_kafka: RealKafka) -> Settings:
    return Settings(brokers=tidings_own_kafka.bootstrap_servers)


@pytest.fixture
def topic(tidings_own_kafka: RealKafka) -> str:
    name = unique_topic()
    tidings_own_kafka.create_topic(name, 4, config={"retention.ms": "-1", "segment.bytes": "1048576"})
    return name


@pytest.fixture
def put(tidings_own_kafka: RealKafka, topic: str) -> Iterator[Put]:
    """Writes records with these ids, all at a time, and waits for them."""
    producer = Producer({"bootstrap.servers": tidings_own_kafka.bootstrap_servers})

    def put(*ids: str, ms: int = 0, partition: int = 2) -> None:
        for each in ids:
            headers: list[tuple[str, str | bytes | None]] = [("other", None), ("event_id", each.encode())]
            producer.produce(topic, b"v", partition=partition, timestamp=ms, headers=headers)
        assert producer.flush(_WAIT) == 0

    yield put
    producer.close()


def new_id() -> str:
    return Stamper(lambda: None)()[0].decode()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_an_event_is_found_by_the_time_in_its_id(settings: Settings, topic: str, put: Put) -> None:
    put(*(new_id() for _ in range(500)), ms=now_ms() - _HOUR)
    wanted = new_id()
    put(new_id(), wanted, new_id())
    search = find_in_kafka(settings, topic, wanted, timeout=_WAIT)
    assert search.answered
    assert search.found is not None
    assert (search.found.topic, search.found.partition, search.found.offset) == (topic, 2, 501)
    assert abs(search.found.timestamp - now_ms()) < _HOUR
    assert search.scanned <= 3  # what is an hour older was not looked at


def test_an_event_that_is_not_there(settings: Settings, topic: str, put: Put) -> None:
    put(*(new_id() for _ in range(10)))
    search = find_in_kafka(settings, topic, new_id(), timeout=_WAIT)
    assert (search.found, search.answered, search.scanned) == (None, True, 10)


def test_nothing_at_all_is_there(settings: Settings, topic: str) -> None:
    search = find_in_kafka(settings, topic, new_id(), timeout=_WAIT)
    assert (search.found, search.answered, search.scanned) == (None, True, 0)


def test_other_ids_need_a_time(settings: Settings, topic: str, put: Put) -> None:
    wanted = f"order-{uuid.uuid4()}"
    put("order-1", wanted, ms=now_ms() - _HOUR)
    asked = find_in_kafka(settings, topic, wanted, timeout=_WAIT)
    assert (asked.found, asked.answered) == (None, False)
    assert "give since" in asked.message
    two_hours_ago = datetime.now(UTC) - timedelta(hours=2)
    for since in (two_hours_ago, int(two_hours_ago.timestamp() * 1000), 0):
        search = find_in_kafka(settings, topic, wanted, since=since, timeout=_WAIT)
        assert search.found is not None
        assert search.found.offset == 1
    for span in ({"since": now_ms() - 1000}, {"since": 0, "until": now_ms() - 2 * _HOUR}):
        search = find_in_kafka(settings, topic, wanted, timeout=_WAIT, **span)
        assert (search.found, search.answered, search.scanned) == (None, True, 0)
    with pytest.raises(ValueError, match="no time zone"):
        find_in_kafka(settings, topic, wanted, since=datetime(2026, 1, 1))


def test_no_such_topic_is_an_answer_and_makes_none(settings: Settings) -> None:
    name = unique_topic()
    for _ in range(2):
        search = find_in_kafka(settings, name, new_id(), timeout=_WAIT)
        assert (search.found, search.answered) == (None, True)
        assert "There is no topic" in search.message


def test_a_kafka_that_is_away_is_no_answer() -> None:
    search = find_in_kafka(Settings(brokers="127.0.0.1:1"), "orders", new_id(), timeout=0.5)
    assert (search.found, search.answered) == (None, False)
    assert "cannot be read" in search.message


def test_a_kafka_that_hangs_is_no_answer(
    tidings_own_kafka: RealKafka, settings: Settings, topic: str, put: Put
) -> None:
    wanted = new_id()
    put(wanted)
    tidings_own_kafka.pause(1)
    search = find_in_kafka(settings, topic, wanted, timeout=1)
    assert (search.found, search.answered) == (None, False)
    tidings_own_kafka.resume(1)
    assert find_in_kafka(settings, topic, wanted, timeout=_WAIT).found is not None


def test_too_little_time_is_no_answer(settings: Settings, topic: str, put: Put) -> None:
    put(*(new_id() for _ in range(10)))
    search = find_in_kafka(settings, topic, new_id(), timeout=0.0001)
    assert (search.found, search.answered) == (None, False)


def test_the_time_in_an_id() -> None:
    before = now_ms()
    inside = time_of(new_id())
    assert inside is not None
    assert before <= inside <= now_ms()
    assert time_of(str(uuid.uuid4())) is None
    assert time_of("order-1") is None
