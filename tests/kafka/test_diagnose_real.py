"""diagnose on real Kafka: what its listeners say, one by one, without a Kafka client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tidings.kafka.diagnose import Cause, Diagnosis, diagnose
from tidings.settings import Settings
from tidings.testing import RealKafka
from tidings.testing.certificates import make_certificates


@pytest.fixture(autouse=True)
def _no_kafka_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_BROKERS", "KAFKA_USERNAME", "KAFKA_PASSWORD", "KAFKA_SSL", "KAFKA_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)


def found(settings: dict[str, Any], **changed: Any) -> Diagnosis:
    return diagnose(Settings(**{**settings, **changed}), timeout=10)


def test_the_plaintext_listener(tidings_own_kafka: RealKafka) -> None:
    plain = {"brokers": tidings_own_kafka.bootstrap_servers}
    assert found(plain).cause is Cause.REACHABLE
    assert found(plain, ssl=True).cause is Cause.PLAINTEXT_EXPECTED
    assert found(plain, username="alice", password="x").cause is Cause.SASL_NOT_EXPECTED


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "scram-sha-512"])
def test_the_sasl_listener(mechanism: str, tidings_own_kafka: RealKafka) -> None:
    assert found(tidings_own_kafka.secure_settings(mechanism)).cause is Cause.REACHABLE


def test_the_sasl_listener_taken_wrongly(tidings_own_kafka: RealKafka, tmp_path: Path) -> None:
    right = tidings_own_kafka.secure_settings()
    anonymous = {"brokers": right["brokers"], "ssl": True, "ssl_ca": right["ssl_ca"]}
    told = found(anonymous)
    assert told.cause is Cause.SASL_EXPECTED
    assert "SCRAM-SHA-512" in told.message
    token = {"sasl_mechanism": "oauthbearer", "oauth_token_provider": lambda _: ("token", 0.0)}
    assert found(anonymous, **token).cause is Cause.MECHANISM_NOT_ENABLED
    assert found({"brokers": right["brokers"]}).cause is Cause.TLS_EXPECTED
    assert found(right, ssl_ca=None).cause is Cause.UNTRUSTED_CERTIFICATE
    assert found(right, ssl_ca=make_certificates(tmp_path).ca).cause is Cause.UNTRUSTED_CERTIFICATE
    assert found(right, ssl_ca=None, ssl_verify=False).cause is Cause.REACHABLE
    wrong_host = tidings_own_kafka.secure_settings(host="localhost")
    assert found(wrong_host).cause is Cause.WRONG_HOST_NAME


def test_a_listener_that_wants_client_certificates(tmp_path: Path) -> None:
    other = make_certificates(tmp_path)
    with RealKafka(config={"listener.name.tls.ssl.client.auth": "required"}) as kafka:
        assert found(kafka.tls_settings(client_certificate=True)).cause is Cause.REACHABLE
        assert found(kafka.tls_settings()).cause is Cause.CLIENT_CERTIFICATE_REQUIRED
        theirs = {"ssl_cert": other.client, "ssl_key": other.client_key}
        assert found(kafka.tls_settings(), **theirs).cause is Cause.CLIENT_CERTIFICATE_REFUSED
        plain = {"brokers": kafka.tls_settings()["brokers"]}
        assert found(plain).cause is Cause.TLS_EXPECTED


def test_a_broker_that_hangs_and_one_that_is_gone(tidings_own_kafka: RealKafka) -> None:
    plain = {"brokers": tidings_own_kafka.bootstrap_servers}
    tidings_own_kafka.pause(1)
    try:
        assert diagnose(Settings(**plain), timeout=1).cause is Cause.TIMEOUT
    finally:
        tidings_own_kafka.resume(1)
    tidings_own_kafka.kill(1)
    assert found(plain).cause is Cause.REFUSED
