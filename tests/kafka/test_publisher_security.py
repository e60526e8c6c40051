"""SASL and TLS on real Kafka: right, and wrong in every way that users get wrong; health says which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.kafka_reader import read_topic
from support.processes import wait_until
from tidings import Publisher, State
from tidings.testing import RealKafka
from tidings.testing.certificates import make_certificates
from tidings.testing.contract import unique_topic

_WAIT = 60.0


@pytest.fixture
def kafka(tidings_own_kafka: RealKafka) -> RealKafka:
    return tidings_own_kafka


@pytest.fixture
def topic(kafka: RealKafka) -> str:
    topic = unique_topic()
    kafka.create_topic(topic, partitions=4)
    return topic


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "scram-sha-512"])
def test_the_right_password_delivers(kafka: RealKafka, topic: str, mechanism: str) -> None:
    with Publisher(**kafka.secure_settings(mechanism)) as publisher:
        receipt = publisher.publish_json(topic, {"n": 1}).wait(_WAIT)
        assert publisher.health().ok
    assert receipt.state is State.DELIVERED
    assert len(read_topic(kafka.bootstrap_servers, topic, 1)) == 1


def test_tls_without_sasl_delivers(kafka: RealKafka, topic: str) -> None:
    with Publisher(**kafka.tls_settings()) as publisher:
        assert publisher.publish_json(topic, {"n": 1}).wait(_WAIT).state is State.DELIVERED


def _wrong(kafka: RealKafka, how: str, other_ca: str) -> dict[str, Any]:
    secure: dict[str, Any] = dict(kafka.secure_settings())
    return {
        "wrong password": {**secure, "password": "hunter2-wrong"},
        "unknown user": {**secure, "username": "mallory"},
        "wrong CA": {**secure, "ssl_ca": other_ca},
        "wrong host name": dict(kafka.secure_settings(host="localhost")),
        "plaintext to a TLS port": {"brokers": secure["brokers"]},
        "TLS to a plaintext port": {**secure, "brokers": kafka.bootstrap_servers},
        "nobody listens": {"brokers": "127.0.0.1:1"},
    }[how]


@pytest.mark.parametrize(
    ("how", "cause", "words"),
    [
        ("wrong password", "authentication_failed", "PASSWORD"),
        ("unknown user", "authentication_failed", "USERNAME"),
        ("wrong CA", "untrusted_certificate", "SSL_CA"),
        ("wrong host name", "wrong_host_name", "host name"),
        ("plaintext to a TLS port", "tls_expected", "SSL"),
        ("TLS to a plaintext port", "plaintext_expected", "TLS"),
        ("nobody listens", "refused", "127.0.0.1:1"),
    ],
)
def test_what_is_wrong_is_said_and_events_are_accepted(
    kafka: RealKafka, topic: str, tmp_path: Path, how: str, cause: str, words: str
) -> None:
    settings = _wrong(kafka, how, str(make_certificates(tmp_path).ca))
    publisher = Publisher(**settings, durability="memory")
    delivery = publisher.publish_json(topic, {"n": 1})
    health = publisher.health(timeout=4)
    assert (health.status, health.cause) == ("unhealthy", cause), health
    assert words in health.message
    assert "hunter2" not in repr((health, publisher, publisher.stats()))
    assert delivery.state is State.ACCEPTED
    assert publisher.stats().in_flight == 1
    report = publisher.close(timeout=0)
    assert (report.accepted, report.lost, report.in_flight) == (1, 1, 0)
    assert publisher.audit() == publisher.stats()


def test_with_a_store_a_wrong_password_delays_and_loses_nothing(
    kafka: RealKafka, topic: str, tmp_path: Path
) -> None:
    wrong = _wrong(kafka, "wrong password", str(make_certificates(tmp_path).ca))
    publisher = Publisher(**wrong, store_dir=tmp_path, service="security")
    publisher.publish_json(topic, {"n": 1})
    health = publisher.health(timeout=4)
    assert (health.status, health.cause, health.ready) == ("degraded", "authentication_failed", True)
    assert "hunter2" not in repr((health, publisher, publisher.stats()))
    assert publisher.close(timeout=0).stored == 1
    assert not any(b"hunter2" in path.read_bytes() for path in tmp_path.glob("*.journal*"))
    with Publisher(**kafka.secure_settings(), store_dir=tmp_path, service="security") as heir:
        heir.publish_json(topic, {"n": 2})
        assert heir.flush(30)
        assert wait_until(lambda: (heir.stats().adopted, heir.stats().delivered) == (1, 2))
