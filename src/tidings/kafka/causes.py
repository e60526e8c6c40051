"""Why Kafka cannot be reached, as a closed list of causes, each in words that say what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """A stable word for each cause; ``WORDS`` has its sentence."""

    REACHABLE = "reachable"
    NOT_CONFIGURED = "not_configured"
    UNRESOLVABLE = "unresolvable"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    CLOSED = "closed"
    NOT_KAFKA = "not_kafka"
    TLS_EXPECTED = "tls_expected"
    PLAINTEXT_EXPECTED = "plaintext_expected"
    TLS_FAILED = "tls_failed"
    UNTRUSTED_CERTIFICATE = "untrusted_certificate"
    EXPIRED_CERTIFICATE = "expired_certificate"
    WRONG_HOST_NAME = "wrong_host_name"
    CLIENT_CERTIFICATE_REQUIRED = "client_certificate_required"
    CLIENT_CERTIFICATE_REFUSED = "client_certificate_refused"
    SASL_EXPECTED = "sasl_expected"
    SASL_NOT_EXPECTED = "sasl_not_expected"
    MECHANISM_NOT_ENABLED = "mechanism_not_enabled"
    AUTHENTICATION_FAILED = "authentication_failed"
    ADVERTISED_UNREACHABLE = "advertised_unreachable"


WORDS: dict[Cause, str] = {
    Cause.REACHABLE: "{broker} answers as Kafka does",
    Cause.NOT_CONFIGURED: "There is no broker to reach: BROKERS is empty",
    Cause.UNRESOLVABLE: "The name of {broker} cannot be resolved. Check BROKERS and DNS",
    Cause.UNREACHABLE: "There is no way to {broker}. Check BROKERS, routes and firewalls",
    Cause.TIMEOUT: "{broker} does not answer. Check that it runs, and the firewalls on the way",
    Cause.REFUSED: "{broker} refuses the connection: nothing listens. Check the port, and Kafka runs",
    Cause.CLOSED: "{broker} closes the connection at once. Check the port, and the broker's log",
    Cause.NOT_KAFKA: "What listens at {broker} is not Kafka. Check the port",
    Cause.TLS_EXPECTED: "{broker} expects TLS, and SSL is not set. Set SSL, and SSL_CA for a private CA",
    Cause.PLAINTEXT_EXPECTED: "{broker} speaks no TLS, and SSL is set. Use its TLS port or unset SSL",
    Cause.TLS_FAILED: "TLS with {broker} fails. Check that the port is a TLS listener of Kafka",
    Cause.UNTRUSTED_CERTIFICATE: (
        "The certificate of {broker} is signed by no CA that is trusted here. Set SSL_CA to the brokers' CA"
    ),
    Cause.EXPIRED_CERTIFICATE: (
        "The certificate of {broker} is not valid at this time. Renew it, or correct this machine's clock"
    ),
    Cause.WRONG_HOST_NAME: (
        "The certificate of {broker} is for another host name. "
        "Write the name in the certificate in BROKERS, or issue a certificate for this one"
    ),
    Cause.CLIENT_CERTIFICATE_REQUIRED: (
        "{broker} wants a client certificate, and none is set. Set SSL_CERT and SSL_KEY"
    ),
    Cause.CLIENT_CERTIFICATE_REFUSED: (
        "{broker} refuses the certificate in SSL_CERT. Use one that is signed by a CA the broker trusts"
    ),
    Cause.SASL_EXPECTED: "{broker} expects authentication, and none is set. Set USERNAME and PASSWORD",
    Cause.SASL_NOT_EXPECTED: (
        "{broker} is a listener without authentication, and USERNAME or SASL_MECHANISM is set. "
        "Use its SASL port, or unset them"
    ),
    Cause.MECHANISM_NOT_ENABLED: "{broker} does not offer this SASL_MECHANISM. Choose one that it offers",
    Cause.AUTHENTICATION_FAILED: (
        "{broker} does not accept these credentials. Check USERNAME, PASSWORD (or the OAUTH settings) "
        "and SASL_MECHANISM"
    ),
    Cause.ADVERTISED_UNREACHABLE: (
        "The bootstrap brokers answer, but send us on to {broker}, which cannot be reached from here. "
        "Check the brokers' advertised.listeners"
    ),
}


@dataclass(frozen=True)
class Diagnosis:
    """What was found: ``cause``, a stable word; ``message``, a sentence or two that name the broker and what
    to do and never hold a secret; ``broker``, ``host:port`` as written in BROKERS, or empty."""

    cause: Cause
    message: str
    broker: str


def told(cause: Cause, broker: str, detail: str = "") -> Diagnosis:
    """A Diagnosis in the words of its cause; ``detail`` is put in brackets behind them."""
    words = WORDS[cause].format(broker=broker)
    return Diagnosis(cause, f"{words} ({detail.rstrip('.')})." if detail else f"{words}.", broker)
