"""Settings: their defaults, how each value is read, what must hold between them, and what stays hidden."""

from __future__ import annotations

import copy
import datetime
import json
import logging
import math
import pickle
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tidings.errors import ConfigError
from tidings.settings import Settings
from tidings.settings.values import addresses, seconds, size, topic_name

SECRET = "hunter2-do-not-show"


def made(**overrides: Any) -> Settings:
    return Settings(**{"brokers": "localhost:9092", **overrides})


def problem(**overrides: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        made(**overrides)
    return str(caught.value)


def test_defaults() -> None:
    settings = made()
    assert settings.brokers == ("localhost:9092",)
    assert (settings.topic, settings.version, settings.topics, settings.topic_map) == (
        "default-events",
        "1.0",
        {},
        {},
    )
    assert (settings.delivery_timeout, settings.outage_after, settings.max_in_flight) == (120.0, 10.0, 5)
    assert (settings.flush_messages, settings.flush_bytes, settings.flush_timeout) == (1000, 1_000_000, 0.005)
    assert (settings.queue_messages, settings.queue_bytes) == (100_000, 64 * 1024**2)
    assert (settings.max_block, settings.close_timeout, settings.max_event_bytes) == (1.0, 10.0, 1_000_000)
    assert (settings.compression, settings.on_reject) == ("snappy", "raise")
    assert (settings.enabled, settings.ssl, settings.ssl_verify, settings.debug) == (True, False, True, "")
    assert (settings.username, settings.password, settings.sasl_mechanism) == (None, None, None)
    assert settings.client_config == {}


@pytest.mark.parametrize(
    ("argv", "service"),
    [
        ("/srv/shop/orders.py", "orders"),
        ("/srv/shop/billing/__main__.py", "billing"),
        ("-c", "python"),
        ("", "python"),
    ],
)
def test_service_is_the_script_by_default_and_the_client_id_the_service(
    argv: str, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [argv])
    assert (made().service, made().client_id) == (service, service)
    assert made(service="shop").client_id == "shop"
    assert made(service="shop", client_id="shop-1").client_id == "shop-1"


def test_every_field_is_described() -> None:
    nameless = [name for name, field in Settings.model_fields.items() if not field.description]
    assert nameless == []


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        made().max_block = 2.0


def test_required_brokers() -> None:
    with pytest.raises(ConfigError, match=r"KAFKA_BROKERS: is not set; write host:port"):
        Settings()
    assert Settings(enabled=False).brokers == ()


@pytest.mark.parametrize("value", [[], (), None, 9092])
def test_brokers_that_are_none(value: object) -> None:
    assert "brokers:" in problem(brokers=value)


# --- durations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100ms", 0.1),
        ("1s", 1.0),
        ("1m30s", 90.0),
        ("1m 30s", 90.0),
        ("1.5s", 1.5),
        ("2", 2.0),
        ("0", 0.0),
        ("0.25", 0.25),
        (3, 3.0),
        (0.5, 0.5),
        (timedelta(milliseconds=250), 0.25),
    ],
)
def test_durations(text: object, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)
    assert type(seconds(text)) is float


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10 parsecs",
        "1s,2s",
        "1s;;2s",
        "s",
        "-1s",
        "1.2.3s",
        "1mm",
        "1y",
        "٣s",
        True,
        -1,
        math.nan,
        math.inf,
        None,
        [1],
    ],
)
def test_no_durations(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it like 100ms, 1s or 1m30s"):
        seconds(text)


def test_a_duration_beyond_all_bounds() -> None:
    with pytest.raises(ValueError, match="too long"):
        seconds("9" * 400 + "h")


@given(st.integers(0, 999), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_durations_have_parts(hours: int, minutes: int, whole: int, thousandths: int) -> None:
    duration = timedelta(hours=hours, minutes=minutes, seconds=whole, milliseconds=thousandths)
    assert seconds(f"{hours}h{minutes}m{whole}s{thousandths}ms") == pytest.approx(duration.total_seconds())
    assert seconds(duration) == duration.total_seconds()


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.binary())
def test_anything_is_a_duration_or_an_error(value: object) -> None:
    try:
        found = seconds(value)
    except ValueError as error:
        assert "duration" in str(error) or "too long" in str(error)  # noqa: PT017
    else:
        assert found >= 0


# --- sizes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1MiB", 1_048_576),
        ("64kB", 64_000),
        ("1 GiB", 2**30),
        ("512", 512),
        (512, 512),
        ("1.5KiB", 1536),
        ("2mb", 2_000_000),
    ],
)
def test_sizes(text: object, expected: int) -> None:
    assert size(text) == expected
    assert type(size(text)) is int


@pytest.mark.parametrize("text", ["", "MiB", "1 elephant", "-1", -1, 1.5, True, None, "1e400"])
def test_no_sizes(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size; write it like 1MiB, 64kB or a number of bytes"):
        size(text)


@given(
    st.integers(0, 2**40), st.sampled_from([("", 1), ("B", 1), ("kB", 1000), ("KiB", 1024), ("MiB", 2**20)])
)
def test_sizes_have_units(number: int, unit: tuple[str, int]) -> None:
    assert size(f"{number}{unit[0]}") == number * unit[1]


@given(st.text() | st.integers() | st.floats() | st.binary())
def test_anything_is_a_size_or_an_error(value: object) -> None:
    try:
        assert size(value) >= 0
    except ValueError as error:
        assert "is not a size" in str(error)  # noqa: PT017


# --- addresses


@pytest.mark.parametrize(
    "address",
    [
        "localhost:9092",
        "kafka-1.example.org:9093",
        "10.0.0.1:1",
        "[::1]:9092",
        "[fe80::1%eth0]:9092",
        "my_kafka:65535",
        "h.:9092",
    ],
)
def test_addresses(address: str) -> None:
    assert addresses(address) == addresses([address]) == (address,)


def test_addresses_with_commas() -> None:
    assert addresses("a:1, [::1]:2 ,c:3") == ("a:1", "[::1]:2", "c:3")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("localhost", "has no port"),
        ("[::1]", "has no port"),
        ("::1", "more than one colon"),
        ("::1:9092", "write an IPv6 address in brackets"),
        ("a:0", "no port from 1 to 65535"),
        ("a:65536", "no port from 1 to 65535"),
        ("a:kafka", "no port from 1 to 65535"),
        ("a:٣", "no port from 1 to 65535"),
        (":9092", "no legal host name"),
        ("a b:9092", "no legal host name"),
        ("-a:9092", "no legal host name"),
        ("[nope]:9092", "no IPv6 address"),
        ("SASL_SSL://a:9092", "is a URL"),
        ("a:1,,b:2", "empty address"),
        ("", "empty address"),
    ],
)
def test_malformed_addresses(address: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        addresses(address)


def test_every_malformed_address_is_named() -> None:
    told = problem(brokers=["good:9092", "bad", "worse:x", 9092])
    assert "'bad' has no port" in told
    assert "'worse:x'" in told
    assert "9092 is not host:port" in told
    assert "good" not in told


def test_credentials_in_an_address_are_not_shown() -> None:
    assert SECRET not in problem(brokers=f"https://user:{SECRET}@kafka:9092")


@given(st.from_regex(r"[a-z0-9]{1,20}(\.[a-z0-9]{1,10}){0,3}", fullmatch=True), st.integers(1, 65535))
def test_names_and_ports_are_addresses(host: str, port: int) -> None:
    assert addresses(f"{host}:{port}") == (f"{host}:{port}",)


@given(st.text())
def test_any_text_is_addresses_or_an_error(text: str) -> None:
    try:
        found = addresses(text)
    except ValueError:
        return
    assert all(1 <= int(address.rpartition(":")[2]) <= 65535 for address in found)


# --- topics


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 249, "..."])
def test_topics(name: str) -> None:
    assert topic_name(name) == name
    assert made(topic=name).topic == name


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "ä", "x" * 250, "a/b", "a\n"])
def test_no_topics(name: str) -> None:
    assert "topic: " in problem(topic=name)
    assert "topics: " in problem(topics={"logical": name})
    assert "topic_map: " in problem(topic_map={"user.*": name})


def test_logical_names_stand_for_topics() -> None:
    settings = made(
        topics={"the orders": "prod.orders"}, topic="the orders", topic_map={"order.*": "the orders"}
    )
    assert settings.topic_map == {"order.*": "the orders"}
    assert "topic: 'the orders' is not a topic name" in problem(topic="the orders")


@pytest.mark.parametrize(
    "text", ["user.*=users, order.placed=orders", '{"user.*": "users", "order.placed": "orders"}']
)
def test_maps_are_pairs_or_json(text: str) -> None:
    assert made(topic_map=text).topic_map == {"user.*": "users", "order.placed": "orders"}


@pytest.mark.parametrize("value", ["users", "{", '{"a": 1}', '["a"]', "=users", {"a": 1}, {1: "a"}, 5, None])
def test_no_maps(value: object) -> None:
    assert "topic_map: " in problem(topic_map=value)


# --- bounds and choices


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("max_in_flight", [1, 5, "3"], [0, 6, "x", 1.5]),
        ("flush_messages", [1, 1_000_000], [0, 1_000_001]),
        ("flush_bytes", [1, "1MiB"], [0, 2**31, "x"]),
        ("flush_timeout", [0, "5ms", 100], [-1, 901, "x"]),
        ("queue_messages", [1, 2**31 - 1], [0, 2**31]),
        ("queue_bytes", ["1MiB", "400MiB"], [1023, (2**31) * 1024]),
        ("delivery_timeout", ["3s", "1h"], [0, 0.09, 2**31]),
        ("outage_after", ["100ms", "1h"], [0, "2h"]),
        ("max_block", [0, "1h"], [-1, "2h"]),
        ("close_timeout", [0, 30], ["2h"]),
        ("max_event_bytes", [1, "1MiB"], [0, "1GB"]),
        ("compression", ["none", "gzip", "snappy", "lz4", "zstd"], ["zip", None]),
        ("on_reject", ["raise", "log"], ["ignore"]),
        ("enabled", ["true", "1", False], ["maybe"]),
        ("ssl_verify", ["false"], ["maybe"]),
        ("debug", ["", "broker,security", "all", ["broker"]], ["brokers", 5, {}]),
        ("service", ["shop"], ["", " ", "a\nb", 5]),
        ("client_id", ["shop"], ["", None]),
        ("version", ["2"], ["", 1.0]),
    ],
)
def test_bounds(field: str, good: list[object], bad: list[object]) -> None:
    for value in good:
        made(**{field: value})
    for value in bad:
        assert f"  {field}: " in problem(**{field: value}), value


def test_bounds_are_told_with_units() -> None:
    assert "outage_after: must be from 0.1 to 3,600 s, not 7,200 s" in problem(outage_after="2h")
    assert "max_event_bytes: must be from 1 to 999,000,000 bytes, not 0 bytes" in problem(max_event_bytes=0)


@pytest.mark.parametrize(
    ("value", "contexts"), [(True, "all"), ("true", "all"), ("1", "all"), (False, ""), ("0", ""), ("a", None)]
)
def test_debug_takes_true_and_false(value: object, contexts: str | None) -> None:
    if contexts is None:
        assert "librdkafka has no debug context 'a'; it has admin, all," in problem(debug=value)
    else:
        assert made(debug=value).debug == contexts


def test_sizes_and_times_fit_each_other() -> None:
    assert "queue_bytes: must be 1,000,000 at least, or KAFKA_MAX_EVENT_BYTES never fits" in problem(
        queue_bytes="64kB"
    )
    made(queue_bytes="64kB", max_event_bytes="32kB", flush_bytes="32kB")
    assert "must be below delivery_timeout" in problem(flush_timeout="3s", delivery_timeout="3s")
    assert "max_poll_interval: must not be below KAFKA_SESSION_TIMEOUT" in problem(max_poll_interval="44s")
    made(max_poll_interval="45s")
    made(max_poll_interval="1s", group_protocol="consumer")


# --- SASL


def test_a_username_means_plain() -> None:
    assert made(username="u", password="p").sasl_mechanism == "plain"
    assert made(username="u", password="p", sasl_mechanism="SCRAM_SHA_512").sasl_mechanism == "scram-sha-512"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"username": "u"}, "KAFKA_PASSWORD: is not set, but username is"),
        ({"password": "p"}, "KAFKA_USERNAME: is not set, but password is"),
        ({"sasl_mechanism": "plain"}, "KAFKA_USERNAME: is not set, but sasl_mechanism is"),
        ({"username": "u", "password": ""}, "password: holds no password"),
        ({"sasl_mechanism": "gssapi"}, "sasl_mechanism: GSSAPI (Kerberos) is not available"),
        ({"sasl_mechanism": "md5"}, "sasl_mechanism: must be one of 'plain'"),
        ({"sasl_mechanism": "oauthbearer"}, "KAFKA_OAUTH_TOKEN_URL: is not set, but oauthbearer needs it"),
        (
            {"sasl_mechanism": "oauthbearer", "username": "u", "password": "p"},
            "oauthbearer takes OAUTH_TOKEN_URL",
        ),
        ({"oauth_client_id": "me"}, "oauth_client_id: has no effect"),
        (
            {"sasl_mechanism": "oauthbearer", "oauth_token_url": "idp/token"},
            "must be an http:// or https:// URL",
        ),
        (
            {
                "sasl_mechanism": "oauthbearer",
                "oauth_token_provider": lambda _: ("t", 0.0),
                "oauth_client_id": "x",
            },
            "oauth_token_provider is given too",
        ),
        ({"oauth_token_provider": "token"}, "oauth_token_provider: must be a function, given in code"),
    ],
)
def test_sasl_that_does_not_fit(overrides: dict[str, Any], words: str) -> None:
    assert words in problem(**overrides)


def test_a_password_file_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    settings = made(username="u", password_file=str(file))
    assert settings.sasl_password == SECRET
    file.write_text("rotated")
    assert settings.sasl_password == "rotated"
    assert "password_file: password is set too" in problem(username="u", password="p", password_file=file)
    file.write_text("\n")
    assert "password_file: holds no password" in problem(username="u", password_file=file)
    file.write_bytes(b"\xff" + SECRET.encode())
    told = problem(username="u", password_file=file)
    assert "password_file: cannot be read as UTF-8 text" in told
    assert SECRET not in told
    assert "cannot be read" in problem(username="u", password_file=tmp_path / "none")
    assert "is not a file" in problem(username="u", password_file=tmp_path)


def test_oauthbearer() -> None:
    settings = made(
        sasl_mechanism="oauthbearer",
        oauth_token_url="https://idp/token",
        oauth_client_id="me",
        oauth_client_secret=SECRET,
        oauth_extensions="logicalCluster=lkc-1",
    )
    assert settings.oauth_extensions == {"logicalCluster": "lkc-1"}
    made(sasl_mechanism="oauthbearer", oauth_token_provider=lambda _: ("token", 0.0))
    made(sasl_mechanism="oauthbearer", client_config={"enable.sasl.oauthbearer.unsecure.jwt": True})


# --- TLS


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with cert.pem, key.pem, locked.pem (a key whose password is SECRET) and other.pem."""
    directory = tmp_path_factory.mktemp("pem")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(directory / "key.pem", key, serialization.NoEncryption())
    _write_key(directory / "locked.pem", key, serialization.BestAvailableEncryption(SECRET.encode()))
    _write_key(directory / "other.pem", ec.generate_private_key(ec.SECP256R1()), serialization.NoEncryption())
    return directory


def _write_key(
    path: Path, key: ec.EllipticCurvePrivateKey, lock: serialization.KeySerializationEncryption
) -> None:
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))


def test_tls_files_that_fit(pem: Path) -> None:
    made(ssl=True, ssl_ca=pem / "cert.pem", ssl_cert=pem / "cert.pem", ssl_key=pem / "key.pem")
    made(
        ssl=True,
        ssl_ca=str(pem),
        ssl_cert=pem / "cert.pem",
        ssl_key=pem / "locked.pem",
        ssl_key_password=SECRET,
    )
    made(ssl=False, ssl_ca=pem / "cert.pem")  # said in so many words: no TLS


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"ssl_cert": "cert.pem"}, "KAFKA_SSL_KEY: is not set, but ssl_cert is"),
        ({"ssl_key": "key.pem"}, "KAFKA_SSL_CERT: is not set, but ssl_key is"),
        (
            {"ssl_ca": "cert.pem", "ssl_key_password": SECRET},
            "KAFKA_SSL_CERT: is not set, but ssl_key_password is",
        ),
        ({"ssl_ca": "key.pem"}, "holds no certificate in PEM form"),
        ({"ssl_ca": "none.pem"}, "cannot be read"),
        ({"ssl_cert": "cert.pem", "ssl_key": "other.pem"}, "does not open with SSL_KEY_PASSWORD"),
        ({"ssl_cert": "cert.pem", "ssl_key": "locked.pem"}, "does not open with SSL_KEY_PASSWORD"),
        (
            {"ssl_cert": "cert.pem", "ssl_key": "locked.pem", "ssl_key_password": SECRET + "x"},
            "does not open",
        ),
        (
            {"ssl_cert": "cert.pem", "ssl_key": "key.pem", "ssl": None},
            "ssl_cert: has no effect, since KAFKA_SSL",
        ),
    ],
)
def test_tls_files_that_do_not_fit(files: dict[str, Any], words: str, pem: Path) -> None:
    overrides = {"ssl": True} | {name: pem / f if str(f).endswith("pem") else f for name, f in files.items()}
    if overrides["ssl"] is None:
        del overrides["ssl"]
    told = problem(**overrides)
    assert words in told
    assert SECRET not in told


def test_dangerous_settings_are_loud(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tidings.settings"):
        made(ssl=True, ssl_verify=False)
        made(username="u", password=SECRET)
        made(ssl=True, username="u", password=SECRET)
    assert len(caplog.messages) == 2
    assert "ssl_verify is false: brokers are NOT verified" in caplog.messages[0]
    assert "cross the network in the clear" in caplog.messages[1]
    assert SECRET not in caplog.text


# --- raw properties


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("acks", "1", "tidings promises delivery with acks=all"),
        ("enable.idempotence", False, "is not yours to set"),
        ("delivery.report.only.error", True, "accounts for every event"),
        ("retries", 1, "librdkafka repeats inside DELIVERY_TIMEOUT"),
        ("transactional.id", "t", "a transaction would hold events back"),
        ("linger.ms", 5, "has its own setting: FLUSH_TIMEOUT"),
        ("bootstrap.servers", "x:1", "has its own setting: BROKERS"),
        ("sasl.password", SECRET, "has its own setting: PASSWORD"),
        ("stats_cb", "x", "tidings sets the callbacks"),
        ("group.id", "x", "has its own setting: GROUP_ID"),
        ("group.instance.id", "x", "has its own setting: GROUP_INSTANCE_ID"),
        ("group.protocol", "consumer", "has its own setting: GROUP_PROTOCOL"),
        ("session.timeout.ms", 6000, "has its own setting: SESSION_TIMEOUT"),
        ("max.poll.interval.ms", 10_000, "has its own setting: MAX_POLL_INTERVAL"),
        ("enable.auto.commit", False, "an offset is stored when its event is handled"),
        ("enable.auto.offset.store", True, "an offset is stored when its event is handled"),
        ("auto.offset.reset", "latest", "begins with the oldest event"),
        ("partition.assignment.strategy", "range", "cooperative-sticky"),
        ("enable.partition.eof", True, "is not yours to set"),
        ("topic.auto.offset.reset", "latest", "is not yours to set"),
        ("topic.partitioner", "random", "must keep a key in one partition"),
        ("topic.message.timeout.ms", 1, "DELIVERY_TIMEOUT"),
        ("sasl.kerberos.keytab", "x", "GSSAPI"),
        ("partitioner", "random", "must keep a key in one partition"),
        ("ssl.ca.pem", None, "must be text, a number, true or false"),
        ("ssl.ca.pem", {"a": SECRET}, "must be text, a number, true or false"),
    ],
)
def test_refused_raw_properties(name: str, value: object, words: str) -> None:
    told = problem(client_config={name: value})
    assert f"client_config: {name!r}" in told
    assert words in told
    assert SECRET not in told


def test_raw_properties() -> None:
    raw = {
        "socket.keepalive.enable": True,
        "partitioner": "consistent_random",
        "statistics.interval.ms": 5000,
        "auto.commit.interval.ms": 100,
        "heartbeat.interval.ms": 200,
    }
    assert made(client_config=raw).client_config == raw
    assert made(client_config=json.dumps(raw)).client_config == raw


@pytest.mark.parametrize(
    "text", ['{"ssl.ca.pem": "' + SECRET, SECRET, '["' + SECRET + '"]', f"a={SECRET}", 5]
)
def test_broken_raw_properties(text: object) -> None:
    told = problem(client_config=text)
    assert "client_config: " in told
    assert SECRET not in told


# --- everything at once, and nothing secret


def test_everything_wrong_is_told_at_once() -> None:
    told = problem(
        brokers="localhost",
        max_block="soon",
        topic="a b",
        username="u",
        compression="zip",
        max_evnt_bytes=1,
        client_config={"acks": 0},
    )
    for words in (
        "7 settings are wrong:",
        "  brokers: 'localhost' has no port",
        "  max_block: 'soon' is not a duration",
        "  topic: 'a b' is not a topic name",
        "  KAFKA_PASSWORD: is not set, but username is",
        "  compression: must be one of",
        "  max_evnt_bytes: there is no such setting; is max_event_bytes meant?",
        "  client_config: 'acks' is not yours to set",
        "[KAFKA_INVALID_CONFIG] Correct the named settings and start again.",
    ):
        assert words in told


def test_the_error_carries_no_input() -> None:
    with pytest.raises(ConfigError) as caught:
        made(password=[SECRET], max_block="x")
    error: BaseException | None = caught.value
    assert isinstance(error, ValueError)
    assert error.__context__ is None
    assert error.__cause__ is None


@pytest.mark.parametrize(
    "overrides",
    [
        {"password": [SECRET]},
        {"password": {"a": SECRET}},
        {"password": SECRET.encode() + b"\xff"},
        {"password": int.from_bytes(b"hunter2")},
        {"ssl_key_password": [SECRET]},
        {"oauth_client_secret": {SECRET: 1}},
        {"oauth_token_url": f"idp.example/{SECRET}"},
        {"client_config": {"ssl.keystore.password": [SECRET]}},
        {"client_config": {1: SECRET}},
        {"username": "u", "password": SECRET, "max_block": "x"},
    ],
)
def test_no_secret_in_any_error(overrides: dict[str, Any]) -> None:
    told = problem(**overrides)
    assert SECRET not in told
    assert str(int.from_bytes(b"hunter2")) not in told
    assert "input_value" not in told


SHOWS: list[Callable[[Settings], object]] = [
    repr,
    str,
    lambda settings: settings.model_dump(),
    lambda settings: settings.model_dump_json(),
    lambda settings: settings.client_config,
    lambda settings: settings.password,
]


@pytest.mark.parametrize("show", SHOWS)
def test_no_secret_in_any_view(show: Callable[[Settings], object]) -> None:
    raw = {
        "ssl.keystore.password": SECRET,
        "ssl.key.pem": SECRET,
        "x.token": 77123,
        "ssl.providers": SECRET,
        "statistics.interval.ms": 5000,
    }
    settings = made(username="user", password=SECRET, ssl_key_password=SECRET, ssl=False, client_config=raw)
    shown = str(show(settings))
    assert SECRET not in shown
    assert "77123" not in shown
    assert "**********" in shown


def test_what_is_hidden_is_still_there() -> None:
    settings = made(username="u", password=SECRET, client_config={"ssl.keystore.password": SECRET})
    for same in (settings, copy.deepcopy(settings), pickle.loads(pickle.dumps(settings))):
        assert same.sasl_password == SECRET
        assert same.client_config["ssl.keystore.password"] == SECRET


# --- changed settings


def test_with_overrides_keeps_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = made(service="shop", username="u", password=SECRET, max_block="2s")
    monkeypatch.setenv("KAFKA_TOPIC", "from-the-environment")
    changed = settings.with_overrides(max_block="500ms", brokers=["other:9092"], service="mall")
    assert (changed.max_block, changed.brokers, changed.sasl_password) == (0.5, ("other:9092",), SECRET)
    assert changed.topic == "default-events"  # no source is read again
    assert changed.client_id == "mall"  # defaults that follow from others still do
    assert settings.max_block == 2.0


def test_with_overrides_checks(tmp_path: Path) -> None:
    settings = made(username="u", password=SECRET)
    with pytest.raises(ConfigError, match="max_blok: there is no such setting; is max_block meant"):
        settings.with_overrides(max_blok=1)
    file = tmp_path / "password"
    file.write_text("other")
    assert settings.with_overrides(password_file=file).sasl_password == "other"
