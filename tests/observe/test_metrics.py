"""What Prometheus and OpenTelemetry are told of publishers and consumers in one process."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from support.processes import wait_until
from tidings import Consumer, DeliveryError, Manager, Publisher, PublishError
from tidings.observe import otel_metrics, prometheus_metrics
from tidings.observe.watched import Watched
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic
from tidings.testing.memory import InMemoryTransport

LONG = 30.0
Numbers = dict[str, float]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def _numbers(registry: CollectorRegistry) -> Numbers:
    """Every sample, as Prometheus would read it: ``name{label=value}``."""
    text = generate_latest(registry).decode()
    return {
        f"{it.name}{{{','.join(f'{name}={value}' for name, value in it.labels.items())}}}": it.value
        for family in text_string_to_metric_families(text)
        for it in family.samples
    }


def _publisher(service: str, **overrides: Any) -> Publisher:
    return Publisher(transport=InMemoryTransport(), service=service, **overrides)


def test_two_publishers_each_under_its_name(registry: CollectorRegistry) -> None:
    with _publisher("one") as one, _publisher("two") as two:
        prometheus_metrics(one, two, one, registry=registry)
        prometheus_metrics(one, registry=registry)
        for _ in range(3):
            one.produce("t", b"1").wait(LONG)
        two.produce("t", b"1").wait(LONG)
        with pytest.raises(PublishError):
            two.produce("bad topic", b"1")
        with pytest.raises(PublishError):
            two.publish(object())
        found = _numbers(registry)
    assert found["kafka_messages_sent_total{client_id=one}"] == 3
    assert found["kafka_messages_sent_total{client_id=two}"] == 1
    assert found["kafka_messages_failed_total{client_id=one}"] == 0
    assert found["kafka_dead_letter_queue_size{client_id=one}"] == 0
    assert found["kafka_retry_attempts_total{client_id=one}"] == 0
    assert found["tidings_rejected_total{client_id=two}"] == 2
    assert found["tidings_rejected_by_code_total{client_id=two,code=KAFKA_INVALID_TOPIC}"] == 1
    assert found["tidings_in_flight{client_id=one}"] == 0


def test_publishers_of_one_name_are_added_up(registry: CollectorRegistry) -> None:
    with _publisher("same") as one, _publisher("same") as two:
        prometheus_metrics(one, registry=registry)
        prometheus_metrics(two, registry=registry)
        one.produce("t", b"1").wait(LONG)
        two.produce("t", b"1").wait(LONG)
        assert _numbers(registry)["tidings_accepted_total{client_id=same}"] == 2


def test_what_is_gone_leaves_its_numbers_and_nothing_else(registry: CollectorRegistry) -> None:
    total = 0
    for _ in range(5):
        publisher = _publisher("short-lived")
        prometheus_metrics(publisher, registry=registry)
        for _ in range(3):
            publisher.produce("t", b"1").wait(LONG)
            total += 1
        before = _numbers(registry)["kafka_messages_sent_total{client_id=short-lived}"]
        publisher.produce("t", b"unread").wait(LONG)
        total += 1
        publisher.close()
        with pytest.raises(PublishError):
            publisher.publish(object())
        gone = weakref.ref(publisher)
        del publisher
        gc.collect()
        assert gone() is None
        found = _numbers(registry)
        assert before <= found["kafka_messages_sent_total{client_id=short-lived}"] == total
        assert "tidings_in_flight{client_id=short-lived}" not in found, "a gauge is of what there is"


def test_one_that_was_never_closed_is_not_held(registry: CollectorRegistry) -> None:
    publisher = _publisher("dropped")
    prometheus_metrics(publisher, registry=registry)
    gone = weakref.ref(publisher)
    del publisher
    gc.collect()
    assert gone() is None
    assert _numbers(registry) == {}


def test_failures(registry: CollectorRegistry) -> None:
    transport = InMemoryTransport()
    transport.fail_always(lambda record: record.value == b"bad", "MSG_SIZE_TOO_LARGE")
    with Publisher(transport=transport, service="p", retry_max=1, retry_backoff=0.001) as publisher:
        prometheus_metrics(publisher, registry=registry)
        with pytest.raises(DeliveryError):
            publisher.produce("t", b"bad").wait(LONG)
        found = _numbers(registry)
        assert found["kafka_messages_failed_total{client_id=p}"] == 1
        assert found["kafka_retry_attempts_total{client_id=p}"] == 1


def test_open_breakers_by_topic(registry: CollectorRegistry) -> None:
    transport = InMemoryTransport()
    transport.fail_always(lambda record: record.topic == "forbidden", "TOPIC_AUTHORIZATION_FAILED")
    with Publisher(transport=transport, service="p", retry_max=1000, close_timeout=0.1) as publisher:
        prometheus_metrics(publisher, registry=registry)
        publisher.produce("forbidden", b"1")
        breaker = "tidings_breaker_open{client_id=p,topic=forbidden}"
        assert wait_until(lambda: _numbers(registry).get(breaker) == 1, LONG)


def test_names_are_bounded(registry: CollectorRegistry) -> None:
    publishers = [_publisher(f"name-{number}", enabled=False) for number in range(120)]
    prometheus_metrics(*publishers, registry=registry)
    for publisher in publishers:
        publisher.produce("t", b"1")
    found = [(name, value) for name, value in _numbers(registry).items() if "discarded" in name]
    assert len(found) == 101
    assert dict(found)["tidings_discarded_total{client_id=(others)}"] == 20
    assert sum(value for _, value in found) == 120


@pytest.fixture
def topic(broker: EmbeddedBroker) -> str:
    name = unique_topic()
    broker.create_topic(name)
    return name


@pytest.fixture
def consumer(broker: EmbeddedBroker, topic: str) -> Iterator[Consumer]:
    consumer = Consumer(brokers=broker.bootstrap_servers, topics=topic, group_id=unique_topic())
    with Publisher(brokers=broker.bootstrap_servers, service="p") as publisher:
        for number in range(4):
            publisher.publish_json(topic, {"number": number}).wait(LONG)
    yield consumer
    consumer.close()


def test_a_consumer_and_its_lag(consumer: Consumer, topic: str, registry: CollectorRegistry) -> None:
    group = consumer.group_id

    def handle(data: dict[str, int]) -> None:
        if data["number"] == 3:
            raise ValueError

    consumer.subscribe(topic, handle, retries=0)
    prometheus_metrics(consumer, registry=registry)
    assert _numbers(registry)[f"tidings_consumer_running{{group={group}}}"] == 0
    consumer.start()

    def numbers() -> dict[str, float]:
        return _numbers(registry)

    assert wait_until(lambda: numbers()[f"tidings_consumer_dead_lettered_total{{group={group}}}"] == 1, LONG)
    lag = f"tidings_consumer_lag{{group={group},topic={topic}}}"
    assert wait_until(lambda: numbers().get(lag) == 0, LONG)
    found = numbers()
    assert found[f"tidings_consumer_handled_total{{group={group}}}"] == 3
    assert found[f"tidings_consumer_failed_total{{group={group}}}"] == 1
    assert found[f"tidings_consumer_partitions{{group={group},topic={topic}}}"] == 4
    consumer.close()
    found = numbers()
    assert found[f"tidings_consumer_handled_total{{group={group}}}"] == 3
    assert lag not in found


def test_a_manager_and_all_that_is_its(registry: CollectorRegistry) -> None:
    manager = Manager(transport=InMemoryTransport(), service="managed")

    def handle(_: dict[str, int]) -> None: ...

    for group in ("billing", "mail"):
        manager.consumer(topics="orders", group_id=group).subscribe("orders", handle)
    with manager:
        prometheus_metrics(manager, registry=registry)
        prometheus_metrics(manager, registry=registry)
        manager.publisher.publish_json("orders", {"number": 1}).wait(LONG)
        name = "tidings_consumer_handled_total"
        assert wait_until(lambda: _numbers(registry).get(f"{name}{{group=billing}}") == 1, LONG)
        assert wait_until(lambda: _numbers(registry).get(f"{name}{{group=mail}}") == 1, LONG)
        assert _numbers(registry)["kafka_messages_sent_total{client_id=managed}"] == 1
    assert _numbers(registry)[f"{name}{{group=mail}}"] == 1


def test_open_telemetry_reads_the_same(consumer: Consumer, topic: str) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])

    def handle(data: dict[str, int]) -> None: ...

    consumer.subscribe(topic, handle)
    with _publisher("one") as one, _publisher("two") as two:
        otel_metrics(one, meter_provider=provider)
        otel_metrics(two, consumer, meter_provider=provider)
        one.produce("t", b"1").wait(LONG)
        consumer.start()
        assert wait_until(lambda: consumer.stats().handled == 4, LONG)
        found = _otel(reader)
    send = {"messaging.system": "kafka", "messaging.operation.name": "send"}
    assert found["messaging.client.sent.messages"] == [
        ({"messaging.client.id": "one", **send}, 1),
        ({"messaging.client.id": "one", **send, "error.type": "dead_lettered"}, 0),
        ({"messaging.client.id": "one", **send, "error.type": "lost"}, 0),
        ({"messaging.client.id": "two", **send}, 0),
        ({"messaging.client.id": "two", **send, "error.type": "dead_lettered"}, 0),
        ({"messaging.client.id": "two", **send, "error.type": "lost"}, 0),
    ]
    ((attributes, consumed),) = found["messaging.client.consumed.messages"]
    assert consumed == 4
    assert attributes["messaging.consumer.group.name"] == consumer.group_id
    assert attributes["messaging.operation.name"] == "process"
    assert [value for _, value in found["tidings.accepted"]] == [1, 0]
    ((attributes, _),) = found["tidings.consumer.partitions"]
    assert attributes["messaging.destination.name"] == topic
    provider.shutdown()


def _otel(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], float]]]:
    data = json.loads(reader.get_metrics_data().to_json())  # type: ignore[union-attr]
    return {
        metric["name"]: [(point["attributes"], point["value"]) for point in metric["data"]["data_points"]]
        for resource in data["resource_metrics"]
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
    }


def test_the_conventions_names_are_those_of_the_package() -> None:
    from opentelemetry.semconv._incubating.attributes import messaging_attributes as attributes
    from opentelemetry.semconv._incubating.metrics import messaging_metrics as names

    from tidings.observe import metrics, otel

    assert {it.name for it in metrics.PUBLISHER if it.name.startswith("messaging.")} == {
        names.MESSAGING_CLIENT_SENT_MESSAGES
    }
    assert {it.name for it in metrics.CONSUMER if it.name.startswith("messaging.")} == {
        names.MESSAGING_CLIENT_CONSUMED_MESSAGES
    }
    assert otel._OWNERS == {
        "client_id": attributes.MESSAGING_CLIENT_ID,
        "group": attributes.MESSAGING_CONSUMER_GROUP_NAME,
    }


def test_nothing_is_imported_that_was_not_asked_for() -> None:
    script = (
        "import sys, tidings.observe; from tidings.observe import HealthRegistry;"
        "print([name for name in ('prometheus_client', 'opentelemetry', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_counter_never_falls_back_to_what_was_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = Publisher(transport=InMemoryTransport(), durability="memory", service="counted")
    watched = Watched()
    watched.watch([publisher])
    accepted = iter((21, 1, 22))
    real = publisher.stats
    monkeypatch.setattr(
        publisher, "stats", lambda: msgspec.structs.replace(real(), accepted=next(accepted, 22))
    )

    def said() -> int:
        (found,) = [it.value for it in watched.samples() if it.metric.name == "tidings.accepted"]
        return found

    assert [said(), said(), said()] == [21, 21, 22]
    publisher.close()


def test_a_managers_consumer_counts_once_whoever_names_it() -> None:
    transport = InMemoryTransport()
    manager = Manager(transport=transport, durability="memory", service="twice")
    consumer = manager.consumer("t", "group")
    consumer.subscribe("t", _nothing)
    for is_first in (True, False):
        watched = Watched()
        watched.watch([manager, consumer] if is_first else [consumer, manager])
        assert len([it for it in watched._sources if it.owner[0] == "group"]) == 1
    manager.close()


def _nothing(data: dict[str, Any]) -> None: ...
