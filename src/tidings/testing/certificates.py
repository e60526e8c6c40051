"""Certificates made on the fly: a private CA, the brokers' certificate and one for a client."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidings.testing.errors import RealKafkaUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, Name


@dataclass(frozen=True)
class Certificates:
    """PEM files. The brokers' certificate is for 127.0.0.1 alone: ``localhost`` is a wrong name."""

    ca: Path
    broker: Path  # private key, certificate and CA in one file, as Kafka reads it
    client: Path
    client_key: Path


def make_certificates(directory: Path) -> Certificates:
    """Write a fresh set into ``directory``, valid for two days. Raises RealKafkaUnavailable."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - optional
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            Encoding,
            NoEncryption,
            PrivateFormat,
        )
    except ImportError as error:
        raise RealKafkaUnavailable("certificates cannot be made: cryptography is not installed.") from error

    def key() -> EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())  # under 1 ms; an RSA key takes 50 to 200

    def private(key: EllipticCurvePrivateKey) -> bytes:
        return key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )  # PKCS 8: Kafka reads no other

    ca_key, broker_key, client_key = key(), key(), key()
    ca = _sign("tidings test CA", ca_key, issuer=None, issuer_key=ca_key)
    broker = _sign("127.0.0.1", broker_key, issuer=ca.subject, issuer_key=ca_key)
    client = _sign("tidings test client", client_key, issuer=ca.subject, issuer_key=ca_key)
    made = Certificates(
        directory / "ca.pem", directory / "broker.pem", directory / "client.pem", directory / "client.key"
    )
    made.ca.write_bytes(ca.public_bytes(Encoding.PEM))
    made.broker.write_bytes(
        private(broker_key) + broker.public_bytes(Encoding.PEM) + ca.public_bytes(Encoding.PEM)
    )
    made.client.write_bytes(client.public_bytes(Encoding.PEM))
    made.client_key.write_bytes(private(client_key))
    return made


def _sign(
    name: str, key: EllipticCurvePrivateKey, *, issuer: Name | None, issuer_key: EllipticCurvePrivateKey
) -> Certificate:
    """A certificate for ``name``; without an issuer a CA's own."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(issuer_key, SHA256())
