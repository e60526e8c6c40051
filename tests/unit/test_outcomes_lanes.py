"""The careful lane: its properties, and the in-memory one, which shares everything but its reports."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from tidings.kafka.client import KafkaClient
from tidings.kafka.config import alone, client_config
from tidings.kafka.refusals import refusal
from tidings.settings import Settings
from tidings.testing.memory import InMemoryTransport

NOBODY = "127.0.0.1:1"


class Reports:
    """Collects the error names of reports, None for delivered."""

    def __init__(self) -> None:
        self.names: list[str | None] = []

    def __call__(self, fault: Any, record: Any) -> None:
        self.names.append(fault and fault.name())


def send(lane: InMemoryTransport, report: Reports, value: bytes = b"v", count: int = 1) -> None:
    for _ in range(count):
        lane.produce("t", value, b"k", 0, report, None, 0, [])


def config(**overrides: Any) -> dict[str, Any]:
    return client_config(Settings(**{"brokers": NOBODY, "durability": "memory", **overrides}))


def test_careful_records_travel_alone_and_nothing_else_changes() -> None:
    busy = config()
    careful = alone(busy)
    changed = {name for name in careful if careful[name] != busy.get(name)}
    assert changed == {
        "batch.num.messages",
        "linger.ms",
        "queue.buffering.max.messages",
        "queue.buffering.max.kbytes",
    }
    assert (careful["batch.num.messages"], careful["linger.ms"]) == (1, 0)
    assert careful["queue.buffering.max.messages"] == 1000
    assert careful["queue.buffering.max.kbytes"] == 8192


@pytest.mark.parametrize(
    "overrides", [{}, {"max_event_bytes": 999_000_000, "queue_bytes": 2**30}, {"queue_messages": 1}]
)
def test_librdkafka_takes_it_and_the_largest_event_has_room(overrides: dict[str, Any]) -> None:
    careful = alone(config(**overrides))
    assert careful["queue.buffering.max.kbytes"] * 1024 >= careful["message.max.bytes"]
    assert careful["queue.buffering.max.messages"] == (1 if overrides.get("queue_messages") else 1000)
    producer = Producer({**careful, "log_level": 0})
    producer.purge()
    producer.close()


def test_a_client_gives_careful_clients_of_their_own() -> None:
    logger = logging.getLogger("tidings.test.careful")
    logger.disabled = True
    busy = KafkaClient(Settings(brokers=NOBODY), logger)
    first, second = busy.careful(), busy.careful()
    report = Reports()
    first.produce("t", b"v", None, -1, report, None, 0, [])
    for other in (busy, second):
        other.purge()
        other.poll(0)
    assert report.names == []
    first.purge()
    first.flush(10)
    assert report.names == ["_PURGE_QUEUE"]
    for client in (busy, first, second):
        client.close()


def test_what_stands_behind_an_exception() -> None:
    full = refusal(BufferError("Local: Queue full"))
    assert full is not None
    assert full.name() == "_QUEUE_FULL"
    fault = KafkaError(KafkaError._FATAL)
    assert refusal(KafkaException(fault)) is fault
    assert refusal(RuntimeError("closed")) is None


def test_lanes_share_records_and_offsets_and_report_apart() -> None:
    busy, reports, verdicts = InMemoryTransport(), Reports(), Reports()
    careful = busy.careful()
    send(busy, reports)
    send(careful, verdicts)
    assert careful.records is busy.records
    assert [record.offset for record in busy.records] == [0, 1]
    assert (len(busy), len(careful)) == (1, 1)
    assert busy.poll(0) == 1
    assert (reports.names, verdicts.names) == ([None], [])
    assert (len(busy), len(careful)) == (0, 1)
    assert careful.poll(0) == 1
    assert verdicts.names == [None]


def test_lanes_share_outages() -> None:
    busy, reports, verdicts = InMemoryTransport(), Reports(), Reports()
    careful = busy.careful()
    careful.down()
    assert not busy.health(0).ok
    send(busy, reports)
    send(careful, verdicts)
    assert (busy.records, len(busy), len(careful)) == ([], 1, 1)
    busy.up()
    assert careful.health(0).ok
    assert len(busy.records) == 2
    assert (busy.poll(0), careful.poll(0)) == (1, 1)


def test_a_purge_is_of_one_lane() -> None:
    busy, reports, verdicts = InMemoryTransport(), Reports(), Reports()
    careful = busy.careful()
    busy.down()
    send(busy, reports)
    send(careful, verdicts)
    careful.purge()
    careful.poll(0)
    assert verdicts.names == ["_PURGE_QUEUE"]
    assert (len(busy), len(careful)) == (1, 0)


def test_a_closed_lane_leaves_the_other_at_work() -> None:
    busy, reports = InMemoryTransport(), Reports()
    careful = busy.careful()
    careful.close()
    with pytest.raises(RuntimeError):
        send(careful, reports)
    send(busy, reports)
    busy.down()
    busy.up()
    busy.close()
    busy.close()
    assert len(busy.records) == 1


def test_faults_hit_whichever_lane_comes_next() -> None:
    busy, reports, verdicts = InMemoryTransport(), Reports(), Reports()
    careful = busy.careful()
    busy.fail("INVALID_RECORD", 2)
    send(careful, verdicts)
    send(busy, reports, count=2)
    careful.poll(0)
    busy.poll(0)
    assert (verdicts.names, reports.names) == (["INVALID_RECORD"], ["INVALID_RECORD", None])


def test_one_guilty_event_fails_on_every_lane_until_it_is_repaired() -> None:
    busy, reports, verdicts = InMemoryTransport(), Reports(), Reports()
    careful = busy.careful()
    busy.fail_always(lambda record: record.value == b"guilty", "INVALID_TIMESTAMP")
    for lane, report in ((busy, reports), (careful, verdicts)):
        send(lane, report, b"guilty")
        send(lane, report, b"innocent")
        lane.poll(0)
        assert report.names == ["INVALID_TIMESTAMP", None]
    careful.clear_faults()
    send(busy, reports, b"guilty")
    busy.poll(0)
    assert reports.names[-1] is None


def test_a_batch_fails_together_and_the_careful_lane_passes() -> None:
    busy, reports, verdicts = InMemoryTransport(), Reports(), Reports()
    careful = busy.careful()
    send(busy, reports)  # delivered already: no neighbour
    busy.down()
    send(busy, reports, count=40)
    send(careful, verdicts, count=2)
    busy.batch_fail("MSG_SIZE_TOO_LARGE")
    busy.up()
    busy.poll(0)
    careful.poll(0)
    assert reports.names == [None] + ["MSG_SIZE_TOO_LARGE"] * 40
    assert verdicts.names == [None, None]
    send(busy, reports)
    busy.poll(0)
    assert reports.names[-1] is None


def test_a_batch_ends_with_the_poll_that_serves_it_and_not_before() -> None:
    busy, reports = InMemoryTransport(), Reports()
    busy.batch_fail("INVALID_RECORD")
    assert busy.poll(0) == 0
    send(busy, reports, count=2)
    busy.poll(0)
    send(busy, reports)
    busy.poll(0)
    assert reports.names == ["INVALID_RECORD", "INVALID_RECORD", None]


def test_a_transport_without_records_is_not_none() -> None:
    """``len() == 0`` makes it falsy: it has to be compared with None."""
    assert not InMemoryTransport().careful()
