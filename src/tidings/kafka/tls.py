"""TLS as librdkafka would do it, with the standard library: the context, and what a failure means."""

from __future__ import annotations

import ssl
from pathlib import Path

from tidings.kafka.causes import Cause
from tidings.settings import Settings

_CA_LOCATIONS = (
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-bundle.crt",
    "/etc/pki/tls/certs/ca-bundle.trust.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/cacert.pem",
    "/etc/certs/ca-certificates.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/usr/local/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cacert.pem",
)
"""Where librdkafka, linked statically in the wheels, looks for CAs without SSL_CA: the first one wins."""

_EXPIRED = {9, 10}  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_OTHER_NAME = {62, 63, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, EMAIL_…, IP_ADDRESS_MISMATCH

_CERTIFICATE_ALERTS = (
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "CERTIFICATE_UNKNOWN",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
    "UNSUPPORTED_CERTIFICATE",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
    "DECRYPT_ERROR",  # signed by another CA of the same name
)
"""Alerts by which a broker says no to the client certificate, or to its absence."""

_MISSING_IN_TLS_1_2 = "HANDSHAKE_FAILURE"


def context_of(settings: Settings) -> ssl.SSLContext:
    """The TLS context that these settings mean. Raises OSError (SSLError is one) for files it cannot load."""
    context = trusting_context()
    if settings.ssl_verify:
        raw = settings.client_config
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = raw.get("ssl.endpoint.identification.algorithm") != "none"
        _load_ca(context, settings.ssl_ca, raw.get("ssl.ca.pem"))
    if settings.ssl_cert is not None and settings.ssl_key is not None:
        secret = settings.ssl_key_password  # an empty one, not None: OpenSSL would ask the terminal
        context.load_cert_chain(
            settings.ssl_cert, settings.ssl_key, secret.get_secret_value() if secret else ""
        )
    return context


def trusting_context() -> ssl.SSLContext:
    """A TLS context that believes any broker: to find out whether TLS is spoken, never to send anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def cause_of(error: ssl.SSLError, *, certificate_given: bool) -> Cause | None:
    """What a TLS error means; CLOSED or None when it does not say that the other side speaks TLS."""
    if isinstance(error, ssl.SSLEOFError):
        return Cause.CLOSED
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            return Cause.WRONG_HOST_NAME
        return Cause.EXPIRED_CERTIFICATE if error.verify_code in _EXPIRED else Cause.UNTRUSTED_CERTIFICATE
    reason = error.reason or ""
    if "ALERT" not in reason:
        return None
    if certificate_given:
        refused = any(alert in reason for alert in _CERTIFICATE_ALERTS)
        return Cause.CLIENT_CERTIFICATE_REFUSED if refused else Cause.TLS_FAILED
    missing = any(alert in reason for alert in (*_CERTIFICATE_ALERTS, _MISSING_IN_TLS_1_2))
    return Cause.CLIENT_CERTIFICATE_REQUIRED if missing else Cause.TLS_FAILED


def _load_ca(context: ssl.SSLContext, location: Path | None, pem: object) -> None:
    if isinstance(pem, str):
        context.load_verify_locations(cadata=pem)
    elif location is None:
        location = next((path for path in map(Path, _CA_LOCATIONS) if path.exists()), None)
        if location is None:
            context.load_default_certs()
    if location is not None:
        directory = location.is_dir()
        context.load_verify_locations(None if directory else location, location if directory else None)
