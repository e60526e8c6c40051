"""diagnose: each way in which Kafka cannot be reached, played by a small server, is told in its own words."""

from __future__ import annotations

import datetime
import errno
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.listeners import Listener, Treat, closing, http, kafka, saying, silent
from tidings.kafka.causes import WORDS
from tidings.kafka.diagnose import Cause, Diagnosis, diagnose
from tidings.settings import Settings
from tidings.testing.certificates import Certificates, make_certificates

SECRET = "hunter2-do-not-show"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("pem"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of a CA that nobody here trusts."""
    return make_certificates(tmp_path_factory.mktemp("other"))


def server_tls(pem: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem.broker)
    return context


def found(address: str, **how: Any) -> Diagnosis:
    """What diagnose finds at ``address``; ``how`` are settings, ``timeout`` (5 s) and ``last_error``."""
    timeout, last_error = how.pop("timeout", 5), how.pop("last_error", None)
    return diagnose(Settings(brokers=address, **how), timeout=timeout, last_error=last_error)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_every_cause_has_words_that_name_the_broker_and_what_to_do() -> None:
    assert WORDS.keys() == set(Cause)
    for cause, words in WORDS.items():
        if cause is not Cause.NOT_CONFIGURED:
            assert "{broker}" in words
        if cause not in {Cause.REACHABLE, Cause.NOT_CONFIGURED}:
            assert ". " in words  # what is wrong; what to do


def test_reachable() -> None:
    with Listener(kafka()) as listener:
        assert found(listener.address) == Diagnosis(
            Cause.REACHABLE, f"{listener.address} answers as Kafka does.", listener.address
        )


def test_no_brokers() -> None:
    assert diagnose(Settings(enabled=False), timeout=1).cause is Cause.NOT_CONFIGURED


# --- without TLS


@pytest.mark.parametrize(
    ("treat", "cause"),
    [
        (http, Cause.NOT_KAFKA),
        (saying(b"220 mail.example ESMTP\r\n"), Cause.NOT_KAFKA),
        (saying(b"\0\0\0\x0a\0\0\0\x63abcdef"), Cause.NOT_KAFKA),  # another request's answer
        (saying(b"\x7f\0\0\0\0\0\0\1"), Cause.NOT_KAFKA),  # two gigabytes
        (closing, Cause.CLOSED),
        (saying(b"\0\0"), Cause.TIMEOUT),
        (silent, Cause.TIMEOUT),
    ],
)
def test_listeners_that_are_not_kafkas(treat: Treat, cause: Cause) -> None:
    with Listener(treat) as listener:
        diagnosis = found(listener.address, timeout=1)
    assert diagnosis.cause is cause
    assert listener.address in diagnosis.message


def test_what_is_not_kafka_is_told() -> None:
    with Listener(http) as listener:
        assert found(listener.address).message.endswith("is not Kafka. Check the port (it speaks HTTP).")
    with Listener(silent) as listener:
        assert "it accepts the connection, then says nothing" in found(listener.address, timeout=1).message


def test_a_backlog_that_nobody_accepts_from() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert found(f"127.0.0.1:{server.getsockname()[1]}", timeout=0.5).cause is Cause.TIMEOUT


def test_refused() -> None:
    port = closed_port()
    diagnosis = found(f"127.0.0.1:{port}")
    assert diagnosis.cause is Cause.REFUSED
    assert f"127.0.0.1:{port} refuses the connection" in diagnosis.message


def test_unresolvable() -> None:
    assert found("no-such-host.invalid:9092").cause is Cause.UNRESOLVABLE


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TimeoutError(), Cause.TIMEOUT),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Cause.UNREACHABLE),
        (ConnectionRefusedError(), Cause.REFUSED),
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_no_connection(error: OSError, cause: Cause, tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert found("127.0.0.1:9092", ssl=tls).cause is cause


def test_a_resolver_that_hangs_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    resolve = socket.getaddrinfo

    def hang(*arguments: Any, **named: Any) -> Any:
        go_on.wait(30)
        return resolve(*arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        assert found("127.0.0.1:9", timeout=0.2).cause is Cause.TIMEOUT
    finally:
        go_on.set()
        for thread in threading.enumerate():
            if thread.name == "tidings-diagnose":
                thread.join(30)


def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with Listener(kafka()) as listener:
        both = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", closed_port())),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", listener.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
        assert found("two.example:9092").cause is Cause.REACHABLE


def test_an_address_that_drops_everything_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def drop_port_9(self: socket.socket, where: Any) -> None:
        if where[1] == 9:
            time.sleep(self.gettimeout() or 30)
            raise TimeoutError
        connect(self, where)

    with Listener(kafka()) as listener:
        both = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (9, listener.port)
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
        monkeypatch.setattr(socket.socket, "connect", drop_port_9)
        assert found("two.example:9092", timeout=2).cause is Cause.REACHABLE


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("there is no IPv6 here")
    assert found("[::1]:1", timeout=2).cause in {Cause.REFUSED, Cause.UNREACHABLE}


# --- TLS against plaintext


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("client_certificate", [False, True])
def test_plaintext_to_a_tls_port(
    version: ssl.TLSVersion, client_certificate: bool, pem: Certificates
) -> None:
    context = server_tls(pem)
    context.minimum_version = context.maximum_version = version
    if client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(pem.ca)
    with Listener(kafka(), context) as listener:
        diagnosis = found(listener.address)
    assert diagnosis.cause is Cause.TLS_EXPECTED
    assert "Set SSL" in diagnosis.message


def test_tls_to_a_plaintext_port(pem: Certificates) -> None:
    with Listener(kafka()) as listener:
        assert found(listener.address, ssl=True, ssl_ca=pem.ca).cause is Cause.PLAINTEXT_EXPECTED


@pytest.mark.parametrize(
    ("treat", "cause"), [(http, Cause.NOT_KAFKA), (silent, Cause.TIMEOUT), (closing, Cause.CLOSED)]
)
def test_tls_to_something_else(treat: Treat, cause: Cause, pem: Certificates) -> None:
    with Listener(treat) as listener:
        assert found(listener.address, timeout=1, ssl=True, ssl_ca=pem.ca).cause is cause


def test_https_is_not_kafka(pem: Certificates) -> None:
    with Listener(http, server_tls(pem)) as listener:
        diagnosis = found(listener.address, ssl=True, ssl_ca=pem.ca)
    assert diagnosis.cause is Cause.NOT_KAFKA
    assert "it speaks HTTP" in diagnosis.message


@pytest.mark.parametrize(("treat", "cause"), [(silent, Cause.TIMEOUT), (closing, Cause.CLOSED)])
def test_tls_and_then_nothing(treat: Treat, cause: Cause, pem: Certificates) -> None:
    with Listener(treat, server_tls(pem)) as listener:
        assert found(listener.address, timeout=1, ssl=True, ssl_ca=pem.ca).cause is cause


# --- certificates


def test_the_right_certificate(pem: Certificates) -> None:
    with Listener(kafka(), server_tls(pem)) as listener:
        assert found(listener.address, ssl=True, ssl_ca=pem.ca).cause is Cause.REACHABLE


def test_an_untrusted_ca(pem: Certificates, other: Certificates) -> None:
    with Listener(kafka(), server_tls(pem)) as listener:
        assert found(listener.address, ssl=True, ssl_ca=other.ca).cause is Cause.UNTRUSTED_CERTIFICATE
        assert found(listener.address, ssl=True).cause is Cause.UNTRUSTED_CERTIFICATE
        assert found(listener.address, ssl=True, ssl_verify=False).cause is Cause.REACHABLE
        raw = {"ssl.ca.pem": pem.ca.read_text()}
        assert found(listener.address, ssl=True, client_config=raw).cause is Cause.REACHABLE


def test_a_directory_of_cas(pem: Certificates, other: Certificates, tmp_path: Path) -> None:
    with Listener(kafka(), server_tls(pem)) as listener:
        assert found(listener.address, ssl=True, ssl_ca=tmp_path).cause is Cause.UNTRUSTED_CERTIFICATE


def test_a_wrong_host_name(pem: Certificates) -> None:
    with Listener(kafka(), server_tls(pem)) as listener:
        address = f"localhost:{listener.port}"
        diagnosis = found(address, ssl=True, ssl_ca=pem.ca)
        assert diagnosis.cause is Cause.WRONG_HOST_NAME
        assert address in diagnosis.message
        raw = {"ssl.endpoint.identification.algorithm": "none"}
        assert found(address, ssl=True, ssl_ca=pem.ca, client_config=raw).cause is Cause.REACHABLE


@pytest.mark.parametrize("days", [(-3, -1), (1, 3)])
def test_a_certificate_out_of_its_time(days: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "broker.pem"
    _self_signed(path, *days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with Listener(kafka(), context) as listener:
        assert found(listener.address, ssl=True, ssl_ca=path).cause is Cause.EXPIRED_CERTIFICATE


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificates(version: ssl.TLSVersion, pem: Certificates, other: Certificates) -> None:
    context = server_tls(pem)
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pem.ca)
    tls = {"ssl": True, "ssl_ca": pem.ca}
    with Listener(kafka(), context) as listener:
        assert found(listener.address, **tls).cause is Cause.CLIENT_CERTIFICATE_REQUIRED
        ours = {"ssl_cert": pem.client, "ssl_key": pem.client_key}
        assert found(listener.address, **tls, **ours).cause is Cause.REACHABLE
        theirs = {"ssl_cert": other.client, "ssl_key": other.client_key}
        assert found(listener.address, **tls, **theirs).cause is Cause.CLIENT_CERTIFICATE_REFUSED


def test_files_that_are_gone(pem: Certificates, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(pem.ca.read_bytes())
    settings = Settings(brokers="127.0.0.1:9", ssl=True, ssl_ca=ca)
    ca.unlink()
    assert diagnose(settings, timeout=1).cause is Cause.TLS_FAILED


# --- SASL


@pytest.fixture
def sasl_listener() -> Iterator[Listener]:
    with Listener(kafka(["PLAIN", "SCRAM-SHA-512"])) as listener:
        yield listener


def test_sasl_is_wanted(sasl_listener: Listener) -> None:
    diagnosis = found(sasl_listener.address)
    assert diagnosis.cause is Cause.SASL_EXPECTED
    assert "it offers PLAIN, SCRAM-SHA-512" in diagnosis.message


def test_sasl_as_it_is_wanted(sasl_listener: Listener) -> None:
    user = {"username": "alice", "password": SECRET}
    assert found(sasl_listener.address, **user).cause is Cause.REACHABLE
    assert found(sasl_listener.address, **user, sasl_mechanism="scram-sha-512").cause is Cause.REACHABLE


def test_another_mechanism_is_wanted(sasl_listener: Listener) -> None:
    diagnosis = found(sasl_listener.address, username="a", password=SECRET, sasl_mechanism="scram-sha-256")
    assert diagnosis.cause is Cause.MECHANISM_NOT_ENABLED
    assert "it offers PLAIN, SCRAM-SHA-512" in diagnosis.message


def test_sasl_is_not_wanted() -> None:
    with Listener(kafka()) as listener:
        assert found(listener.address, username="a", password=SECRET).cause is Cause.SASL_NOT_EXPECTED


def test_sasl_behind_tls(pem: Certificates) -> None:
    with Listener(kafka(["PLAIN"]), server_tls(pem)) as listener:
        tls = {"ssl": True, "ssl_ca": pem.ca}
        assert found(listener.address, **tls).cause is Cause.SASL_EXPECTED
        assert found(listener.address, **tls, username="a", password=SECRET).cause is Cause.REACHABLE


@pytest.mark.parametrize("settings", [{}, {"username": "a", "password": SECRET}])
def test_what_answers_api_versions_only_is_kafka_enough(settings: dict[str, Any]) -> None:
    with Listener(kafka(handshakes=False)) as listener:
        assert found(listener.address, **settings).cause is Cause.REACHABLE


def test_a_handshake_that_cannot_be_read() -> None:
    def treat(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"\0\0\0\x0a\0\0\0\1\0\0\0\0\0\0")  # API versions
        connection.recv(1000)
        connection.sendall(b"\0\0\0\x0a\0\0\0\3\0\0\0\0\0\x09")  # nine mechanisms, and no more bytes
        connection.recv(1000)

    with Listener(treat) as listener:
        assert found(listener.address, username="a", password=SECRET).cause is Cause.REACHABLE


def test_no_credentials_are_sent() -> None:
    heard: list[bytes] = []
    answer = kafka(["PLAIN"])

    class Ear(socket.socket):
        def recv(self, *arguments: Any) -> bytes:
            heard.append(super().recv(*arguments))
            return heard[-1]

    def treat(connection: socket.socket) -> None:
        with Ear(fileno=connection.detach()) as ear:
            ear.settimeout(10)
            answer(ear)

    with Listener(treat) as listener:
        found(listener.address, username="alice-the-user", password=SECRET)
    assert b"tidings-diagnose" in b"".join(heard)
    assert SECRET.encode() not in b"".join(heard)
    assert b"alice-the-user" not in b"".join(heard)


# --- several brokers


def test_one_broker_that_answers_is_enough() -> None:
    with Listener(kafka()) as good, Listener(silent) as bad:
        assert found(f"{bad.address},{good.address},127.0.0.1:{closed_port()}").broker == good.address


def test_the_most_telling_broker_is_told_and_the_others_are_named(pem: Certificates) -> None:
    port = closed_port()
    with Listener(kafka(), server_tls(pem)) as tls, Listener(silent) as hole:
        diagnosis = found(f"{hole.address},127.0.0.1:{port},{tls.address}", timeout=1)
    assert (diagnosis.cause, diagnosis.broker) == (Cause.TLS_EXPECTED, tls.address)
    assert f"Other brokers: {hole.address}: timeout, 127.0.0.1:{port}: refused." in diagnosis.message


# --- what librdkafka said

BOOTSTRAP = "sasl_ssl://{address}/bootstrap: "


@pytest.mark.parametrize(
    ("error", "cause", "words"),
    [
        (
            ("_AUTHENTICATION", BOOTSTRAP + "SASL authentication error: Authentication failed"),
            Cause.AUTHENTICATION_FAILED,
            "does not accept these credentials",
        ),
        (
            (
                "_AUTHENTICATION",
                BOOTSTRAP + "SASL PLAIN mechanism handshake failed: UNSUPPORTED",
            ),
            Cause.MECHANISM_NOT_ENABLED,
            "Choose one that it offers",
        ),
        (("_SSL", BOOTSTRAP + "SSL handshake failed"), Cause.TLS_FAILED, "SSL handshake failed"),
        (
            ("_RESOLVE", "kafka-1.internal:9092/1: Failed to resolve 'kafka-1.internal:9092': not known"),
            Cause.ADVERTISED_UNREACHABLE,
            "send us on to kafka-1.internal:9092",
        ),
        (
            ("_TRANSPORT", "ssl://[fd00::1]:9092/3: Connect to ipv6 failed"),
            Cause.ADVERTISED_UNREACHABLE,
            "send us on to [fd00::1]:9092",
        ),
        (("_TRANSPORT", BOOTSTRAP + "Disconnected"), Cause.REACHABLE, "the Kafka client says _TRANSPORT: "),
        (("_ALL_BROKERS_DOWN", "1/1 brokers are down"), Cause.REACHABLE, "says _ALL_BROKERS_DOWN: 1/1"),
    ],
)
def test_the_last_error_tells_what_no_listener_can(
    error: tuple[str, str], cause: Cause, words: str, sasl_listener: Listener
) -> None:
    error = (error[0], error[1].format(address=sasl_listener.address))
    diagnosis = found(sasl_listener.address, username="a", password=SECRET, last_error=error)
    assert diagnosis.cause is cause
    assert words in diagnosis.message


def test_what_we_found_ourselves_goes_before_the_last_error() -> None:
    error = ("_AUTHENTICATION", "Authentication failed")
    assert found(f"127.0.0.1:{closed_port()}", last_error=error).cause is Cause.REFUSED


def test_no_secret_is_told(sasl_listener: Listener) -> None:
    text = f"the identity provider\nsays: '{SECRET}' is wrong" + "!" * 1000
    diagnosis = found(
        sasl_listener.address, username="a", password=SECRET, last_error=("_AUTHENTICATION", text)
    )
    assert SECRET not in str(diagnosis)
    assert "says: '**********' is wrong!!!" in diagnosis.message
    assert len(diagnosis.message) < 600


def _self_signed(path: Path, first_day: int, last_day: int) -> None:
    """A key and a certificate for 127.0.0.1, valid between two days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=first_day))
        .not_valid_after(now + datetime.timedelta(days=last_day))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
