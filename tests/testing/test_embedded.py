"""The embedded broker: both forms take events, break on command, and say once what they are."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tidings.testing import EmbeddedBroker, EmbeddedBrokerError, EmbeddedCluster

Broker = EmbeddedBroker | EmbeddedCluster


@pytest.fixture(params=[EmbeddedBroker, EmbeddedCluster])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with request.param(brokers=2, topics={"orders": 6}) as running:
        yield running


def produce(servers: str, topic: str = "orders", timeout_ms: int = 10_000) -> KafkaError | None:
    """Send one event and return its delivery report's error."""
    errors: list[KafkaError | None] = []
    config = {"bootstrap.servers": servers, "message.timeout.ms": timeout_ms, "log_level": 0}
    producer = Producer({**config, "retries": 0, "reconnect.backoff.max.ms": 100})
    producer.produce(topic, b"value", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(timeout_ms / 1000 + 10) == 0
    return errors[0]


def partitions(servers: str) -> dict[str, int]:
    topics = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=10).topics
    return {name: len(topic.partitions) for name, topic in topics.items()}


def test_an_event_comes_out_as_it_went_in(broker: Broker) -> None:
    assert produce(broker.bootstrap_servers, "unheard-of") is None
    config = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "g", "auto.offset.reset": "earliest"}
    consumer = Consumer({**config, "group.protocol": "consumer"})
    consumer.subscribe(["unheard-of"])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.error() is None
    assert message.value() == b"value"


def test_topics_have_the_partitions_they_were_given(broker: Broker) -> None:
    broker.create_topic("default")
    broker.create_topic("one", partitions=1)
    assert partitions(broker.bootstrap_servers) == {"orders": 6, "default": 4, "one": 1}
    broker.delete_topic("one")
    assert partitions(broker.bootstrap_servers) == {"orders": 6, "default": 4}


def test_topics_may_be_named_alone() -> None:
    with EmbeddedCluster(topics=["a", "b"]) as cluster:
        assert partitions(cluster.bootstrap_servers) == {"a": 4, "b": 4}


def test_there_are_as_many_brokers_as_asked_for(broker: Broker) -> None:
    assert len(broker.bootstrap_servers.split(",")) == 2
    metadata = AdminClient({"bootstrap.servers": broker.bootstrap_servers}).list_topics(timeout=10)
    assert sorted(metadata.brokers) == [1, 2]


def test_down_refuses_and_up_brings_back_the_same_address(broker: Broker) -> None:
    servers = broker.bootstrap_servers
    broker.down()
    error = produce(servers, timeout_ms=500)
    assert error is not None
    assert error.name() == "_MSG_TIMED_OUT"
    broker.up()
    assert broker.bootstrap_servers == servers
    assert produce(servers) is None


def test_one_broker_can_be_down_alone(broker: Broker) -> None:
    broker.set_leader("orders", 0, 1)
    broker.down(2)
    first, second = broker.bootstrap_servers.split(",")
    assert partitions(first) == {"orders": 6}
    error = produce(second, timeout_ms=500)
    assert error is not None


@pytest.mark.parametrize("code", ["TOPIC_AUTHORIZATION_FAILED", 29])
def test_a_failure_is_answered_once_by_name_or_by_number(broker: Broker, code: str | int) -> None:
    broker.fail("Produce", code)
    error = produce(broker.bootstrap_servers)
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert produce(broker.bootstrap_servers) is None


def test_failures_come_in_order_and_again_and_can_be_cleared(broker: Broker) -> None:
    broker.fail("Produce", "INVALID_RECORD", "POLICY_VIOLATION", times=5)
    errors = [produce(broker.bootstrap_servers) for _ in range(3)]
    assert [error.name() for error in errors if error] == [
        "INVALID_RECORD",
        "POLICY_VIOLATION",
        "INVALID_RECORD",
    ]
    broker.clear_failures()
    assert produce(broker.bootstrap_servers) is None


def test_failures_of_one_request_can_be_cleared_alone(broker: Broker) -> None:
    broker.fail("Produce", "INVALID_RECORD")
    broker.clear_failures("Metadata")
    assert produce(broker.bootstrap_servers) is not None


def test_a_topic_can_fail_as_a_whole(broker: Broker) -> None:
    broker.fail_topic("orders", "TOPIC_AUTHORIZATION_FAILED")
    error = produce(broker.bootstrap_servers, timeout_ms=2000)
    assert error is not None
    broker.fail_topic("orders", 0)
    assert produce(broker.bootstrap_servers) is None


def test_a_delay_holds_the_answers_back(broker: Broker) -> None:
    broker.delay(600_000)
    error = produce(broker.bootstrap_servers, timeout_ms=500)
    assert error is not None
    assert error.name() == "_MSG_TIMED_OUT"
    broker.delay(0)
    assert produce(broker.bootstrap_servers) is None


def test_requests_are_written_down_by_name(broker: Broker) -> None:
    produce(broker.bootstrap_servers)
    broker.track_requests()
    assert broker.requests() == []
    produce(broker.bootstrap_servers)
    assert broker.requests().count("Produce") == 1
    assert "Metadata" in broker.requests()


def test_records_can_expire(broker: Broker) -> None:
    broker.create_topic("old", partitions=1)
    for _ in range(3):
        assert produce(broker.bootstrap_servers, "old") is None
    broker.delete_records("old", 0, before=2)
    config = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "g", "log_level": 0}
    consumer = Consumer(config)
    assert consumer.get_watermark_offsets(TopicPartition("old", 0), timeout=10) == (2, 3)
    consumer.close()


def test_clients_are_told_the_advertised_address(broker: Broker) -> None:
    servers = broker.bootstrap_servers
    broker.advertise(1, "elsewhere.invalid", 1234)
    metadata = AdminClient({"bootstrap.servers": servers, "log_level": 0}).list_topics(timeout=10)
    assert str(metadata.brokers[1]) == "elsewhere.invalid:1234/1"


def test_a_group_can_be_given_a_coordinator(broker: Broker) -> None:
    def ask() -> None:
        """Ask the group's coordinator, whichever that is, for an offset."""
        consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "g", "log_level": 0})
        try:
            consumer.committed([TopicPartition("orders", 0)], timeout=1)
        finally:
            consumer.close()

    broker.down(2)
    broker.set_coordinator("g", 2)
    with pytest.raises(KafkaException):
        ask()
    broker.set_coordinator("g", 1)
    ask()


@pytest.mark.parametrize(("api", "code"), [("Produce", "NO_SUCH_ERROR"), ("NoSuchRequest", "_TRANSPORT")])
def test_a_name_that_kafka_does_not_have_is_a_value_error(broker: Broker, api: str, code: str) -> None:
    with pytest.raises(ValueError, match=r"NO_SUCH_ERROR|NoSuchRequest"):
        broker.fail(api, code)


def test_a_refused_command_says_which_and_why(broker: Broker) -> None:
    with pytest.raises(EmbeddedBrokerError, match=r"topic_create.*orders.*already exists"):
        broker.create_topic("orders")
    broker.create_topic("still-answering")


@pytest.mark.parametrize("form", [EmbeddedBroker, EmbeddedCluster])
def test_starts_and_stops_as_often_as_it_is_told(form: type[Broker]) -> None:
    broker = form()
    broker.stop()
    with pytest.raises(EmbeddedBrokerError, match="not running"):
        _ = broker.bootstrap_servers
    for _ in range(2):
        assert broker.start() is broker
        servers = broker.bootstrap_servers
        assert broker.start().bootstrap_servers == servers
        assert produce(servers) is None
        broker.stop()
        broker.stop()
    with pytest.raises(EmbeddedBrokerError, match="not running"):
        broker.down()


def test_stopping_ends_the_process() -> None:
    broker = EmbeddedBroker().start()
    pid = broker.pid
    broker.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_dead_child_is_told_from_a_refusal() -> None:
    broker = EmbeddedBroker().start()
    os.kill(broker.pid, 9)
    with pytest.raises(EmbeddedBrokerError, match=r"process has ended \(-9\)"):
        broker.create_topic("orders")
    broker.stop()


def test_a_child_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/nonexistent"])
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    with pytest.raises(EmbeddedBrokerError, match=r"process has ended \(1\).*"):
        EmbeddedBroker().start()


def test_commands_of_many_threads_do_not_mix() -> None:
    with EmbeddedBroker() as broker:
        names = [f"topic-{number}" for number in range(40)]

        def create(part: list[str]) -> None:
            for name in part:
                broker.create_topic(name)

        threads = [threading.Thread(target=create, args=(names[start::4],)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(partitions(broker.bootstrap_servers)) == sorted(names)


def test_development_only_is_said_once_in_a_process() -> None:
    script = """if True:
        import logging
        logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
        from tidings.testing import EmbeddedBroker, EmbeddedCluster
        for form in (EmbeddedBroker, EmbeddedCluster, EmbeddedBroker):
            with form():
                pass
    """
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert said.stderr.count("development only") == 1
    assert said.stderr.startswith("WARNING tidings.testing ")


def test_serves_from_a_shell_until_it_is_told_to_end() -> None:
    command = [sys.executable, "-m", "tidings.testing.embedded", "-b", "2", "-t", "orders:3", "-t", "users"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        servers = process.stdout.readline().strip()
        assert partitions(servers) == {"orders": 3, "users": 4}
        process.terminate()
        assert process.wait(30) == 0
        assert process.stderr.read().count("development only") == 1


def test_importing_does_not_load_a_client() -> None:
    modules = "tidings.testing.plugin, tidings.testing.embedded"
    script = f"import sys, {modules}; print('confluent_kafka' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert said.stdout == "False\n"


def test_the_log_line_is_for_the_logger_of_testing(caplog: pytest.LogCaptureFixture) -> None:
    from tidings.testing import mockcluster

    mockcluster._announced.clear()
    with caplog.at_level(logging.WARNING, logger="tidings.testing"), EmbeddedCluster(), EmbeddedCluster():
        pass
    assert [record.name for record in caplog.records] == ["tidings.testing"]
