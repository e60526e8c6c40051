"""client_config: what librdkafka is told, and that it takes it, for every security and at every bound."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer

from tidings.errors import ConfigError
from tidings.kafka.config import client_config
from tidings.settings import Settings
from tidings.settings.naming import CONTEXTS
from tidings.testing.certificates import Certificates, make_certificates

NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("pem"))


def config(**overrides: Any) -> dict[str, Any]:
    return client_config(Settings(**{"brokers": NOBODY, "durability": "memory", **overrides}))


def silent() -> logging.Logger:
    logger = logging.getLogger("tidings.test.silent")
    logger.disabled = True
    return logger


def accepted(config: dict[str, Any]) -> None:
    """librdkafka takes it: it refuses what it does not know, or what contradicts itself."""
    producer = Producer(config | {"log_level": 0})
    producer.purge()
    producer.close()


def test_what_tidings_promises() -> None:
    found = config()
    assert found["acks"] == "all"
    assert found["enable.idempotence"] is True
    assert found["partitioner"] == "murmur2_random"
    assert found["reconnect.backoff.max.ms"] == 1000
    assert found["topic.metadata.propagation.max.ms"] == 2000
    accepted(found)


def test_what_follows_from_settings() -> None:
    found = config(
        brokers=["a:1", "[::1]:2"],
        service="shop",
        flush_messages=10,
        flush_bytes=5000,
        flush_timeout=0.0005,
        compression="zstd",
        queue_messages=7,
        queue_bytes=2_000_001,
        max_in_flight=2,
        delivery_timeout=30.0001,
        max_event_bytes=50_000,
        debug="broker",
    )
    assert found["bootstrap.servers"] == "a:1,[::1]:2"
    assert found["client.id"] == "shop"
    assert (found["batch.num.messages"], found["batch.size"], found["linger.ms"]) == (10, 5000, 0.5)
    assert found["compression.type"] == "zstd"
    assert found["queue.buffering.max.messages"] == 7
    assert found["queue.buffering.max.kbytes"] == 1954  # rounded up
    assert found["max.in.flight"] == 2
    assert found["delivery.timeout.ms"] == 30001
    assert found["message.max.bytes"] == 50_000 + 36 + 16 * 1024
    assert found["debug"] == "broker"
    accepted(found | {"debug": "generic"})


@pytest.mark.parametrize(
    ("delivery", "socket", "request_"),
    [("120s", 60_000, 30_000), ("20s", 10_000, 10_000), ("0.1s", 1000, 1000)],
)
def test_a_request_fits_twice_into_the_delivery_timeout(delivery: str, socket: int, request_: int) -> None:
    found = config(delivery_timeout=delivery)
    assert (found["socket.timeout.ms"], found["request.timeout.ms"]) == (socket, request_)
    accepted(found)


@pytest.mark.parametrize(
    "overrides",
    [
        {"delivery_timeout": 2_147_483, "flush_timeout": 900},
        {"flush_timeout": 0, "max_in_flight": 1},
        {"flush_messages": 1_000_000, "flush_bytes": 2**31 - 1, "queue_bytes": (2**31 - 1) * 1024},
        {"max_event_bytes": 999_000_000, "queue_bytes": "2GiB", "queue_messages": 2**31 - 1},
        {
            "max_event_bytes": 1,
            "flush_bytes": 1,
            "queue_bytes": 1024,
            "flush_messages": 1,
            "queue_messages": 1,
        },
        {"debug": "generic,conf", "client_config": {"statistics.interval.ms": 1000}},
    ],
)
def test_librdkafka_takes_the_bounds(overrides: dict[str, Any]) -> None:
    found = config(**overrides)
    found.pop("debug", None)
    accepted(found)


def test_every_debug_context_is_librdkafkas() -> None:
    for context in CONTEXTS:
        settings = Settings(brokers=NOBODY, debug=context)
        accepted({"bootstrap.servers": NOBODY, "debug": settings.debug, "logger": silent()})
    with pytest.raises(KafkaException):
        accepted({"bootstrap.servers": NOBODY, "debug": "no-such-context"})


@pytest.mark.parametrize("size", [1000, 1_000_000])
@pytest.mark.parametrize("headers", [0, 4, 1000])
def test_max_event_bytes_is_the_limit_that_counts(size: int, headers: int) -> None:
    """An event of MAX_EVENT_BYTES is taken, whatever it consists of; one beyond the room left is not."""
    producer = Producer(config(max_event_bytes=max(size, 4 * headers)) | {"log_level": 0})
    try:
        pairs: list[tuple[str, str | bytes | None]] = [
            ("n", b"xyz")
        ] * headers  # 4 bytes each, as MAX_EVENT_BYTES counts
        value = b"x" * (max(size, 4 * headers) - 4 * headers)
        producer.produce("topic", value, headers=pairs)
        with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
            producer.produce("topic", value + b"x" * 20_000, headers=pairs)
    finally:
        producer.purge()
        producer.close()


# --- security


def test_plaintext() -> None:
    assert config()["security.protocol"] == "plaintext"
    assert not [name for name in config() if name.startswith(("sasl.", "ssl."))]


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "scram-sha-512"])
@pytest.mark.parametrize("ssl", [False, True])
def test_passwords(mechanism: str, ssl: bool) -> None:
    found = config(username="alice", password="secret", sasl_mechanism=mechanism, ssl=ssl)
    assert found["security.protocol"] == ("sasl_ssl" if ssl else "sasl_plaintext")
    assert found["sasl.mechanism"] == mechanism.upper()
    assert (found["sasl.username"], found["sasl.password"]) == ("alice", "secret")
    accepted(found)


def test_a_password_file_is_read_for_each_client(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    settings = Settings(brokers=NOBODY, username="alice", password_file=file)
    assert client_config(settings)["sasl.password"] == "first"
    file.write_text("second\n")
    assert client_config(settings)["sasl.password"] == "second"
    file.write_bytes(b"\xff secret")
    with pytest.raises(ConfigError, match=r"PASSWORD_FILE .* can no longer be read") as caught:
        client_config(settings)
    assert caught.value.__context__ is None  # a UnicodeDecodeError holds what it could not read


def test_oidc() -> None:
    found = config(
        sasl_mechanism="oauthbearer",
        oauth_token_url="https://idp.invalid/token",
        oauth_client_id="me",
        oauth_client_secret="secret",
        oauth_scope="kafka",
        oauth_extensions={"logicalCluster": "lkc-1", "identityPoolId": "pool-1"},
        ssl=True,
    )
    assert found["sasl.mechanism"] == "OAUTHBEARER"
    assert found["sasl.oauthbearer.method"] == "oidc"
    assert found["sasl.oauthbearer.token.endpoint.url"] == "https://idp.invalid/token"
    assert found["sasl.oauthbearer.client.id"] == "me"
    assert found["sasl.oauthbearer.client.secret"] == "secret"
    assert found["sasl.oauthbearer.scope"] == "kafka"
    assert found["sasl.oauthbearer.extensions"] == "logicalCluster=lkc-1,identityPoolId=pool-1"
    assert "sasl.username" not in found
    accepted(found | {"sasl.oauthbearer.token.endpoint.url": "http://127.0.0.1:1/token"})


def test_a_token_provider() -> None:
    def provider(_: str) -> tuple[str, float]:
        return "token", time.time() + 3600  # expired tokens count as none, and no client is made

    found = config(sasl_mechanism="oauthbearer", oauth_token_provider=provider)
    assert found["oauth_cb"] is provider
    assert "sasl.oauthbearer.method" not in found
    accepted(found)


@pytest.mark.parametrize(
    ("raw", "method"),
    [
        ({"enable.sasl.oauthbearer.unsecure.jwt": True, "sasl.oauthbearer.config": "principal=me"}, None),
        ({"sasl.oauthbearer.grant.type": "client_credentials"}, "oidc"),
    ],
)
def test_other_ways_to_a_token(raw: dict[str, Any], method: str | None) -> None:
    provider = {"oauth_client_id": "me", "oauth_client_secret": "s"} if method else {}
    url = {"oauth_token_url": "http://127.0.0.1:1/token"} if method else {}
    found = config(sasl_mechanism="oauthbearer", client_config=raw, **provider, **url)
    assert found.get("sasl.oauthbearer.method") == method
    accepted(found)


def test_tls_with_our_certificate(pem: Certificates) -> None:
    found = config(
        ssl=True, ssl_ca=pem.ca, ssl_cert=pem.client, ssl_key=pem.client_key, ssl_key_password="unused"
    )
    assert found["security.protocol"] == "ssl"
    assert found["ssl.ca.location"] == str(pem.ca)
    assert found["ssl.certificate.location"] == str(pem.client)
    assert found["ssl.key.location"] == str(pem.client_key)
    assert found["ssl.key.password"] == "unused"
    assert found["enable.ssl.certificate.verification"] is True
    accepted(found)


def test_tls_of_the_system_and_without_verification(pem: Certificates) -> None:
    assert "ssl.ca.location" not in config(ssl=True)
    found = config(ssl=True, ssl_verify=False)
    assert found["enable.ssl.certificate.verification"] is False
    accepted(config(ssl=True))
    accepted(found)
    accepted(config(ssl=True, ssl_ca=pem.ca.parent))
    assert "ssl.ca.location" not in config(ssl=False, ssl_ca=pem.ca)


def test_raw_properties_come_last() -> None:
    found = config(client_config={"reconnect.backoff.max.ms": 5000, "socket.keepalive.enable": True})
    assert found["reconnect.backoff.max.ms"] == 5000
    assert found["socket.keepalive.enable"] is True
    accepted(found)
