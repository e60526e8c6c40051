"""From Settings to the librdkafka properties of a producer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tidings.errors import ConfigError
from tidings.settings import Settings

ALWAYS: dict[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    # Keys land in the partition where Java clients put them, keyless events where there is room.
    "partitioner": "murmur2_random",
    # A broker that is back, or a topic just created, is found within a second or two, not ten or thirty.
    "reconnect.backoff.max.ms": 1000,
    "topic.metadata.propagation.max.ms": 2000,
}

_FRAMING = 36 + 16 * 1024
"""What message.max.bytes leaves above MAX_EVENT_BYTES: 36 bytes that librdkafka counts for every record, and
16 KiB for the length of each header (2 bytes, as a rule) and the frame of a batch. With the defaults this
makes 1,016,420, still below the 1,048,588 bytes that Kafka takes."""

_CAREFUL_MESSAGES = 1000
_CAREFUL_KBYTES = 8 * 1024
"""The careful client's queue, unless one event needs more: about two seconds of its work."""

_READ_AHEAD_KBYTES = 16 * 1024
"""What a reader may hold of each partition: librdkafka's default is 64 MiB."""

_SOCKET_TIMEOUT = 60.0
_REQUEST_TIMEOUT = 30.0
"""librdkafka's defaults: the longest a request waits, here and at the broker."""


def client_config(settings: Settings) -> dict[str, Any]:
    """The properties of a producer for these settings; those of CLIENT_CONFIG come last.

    Raises ConfigError when PASSWORD_FILE, read now, can no longer be read.
    """
    return {
        **ALWAYS,
        "bootstrap.servers": ",".join(settings.brokers),
        "client.id": settings.client_id,
        **_sending(settings),
        **_security(settings),
        **({"debug": settings.debug} if settings.debug else {}),
        **settings.client_config,
    }


def alone(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same producer, careful: each record is a batch of its own, sent at once, from a small queue.

    What two records share, a broker refuses together: of 21 in a batch with one bad timestamp all 21 failed.
    640 records a second to one partition were measured.
    """
    largest = math.ceil(config["message.max.bytes"] / 1024)
    return {
        **config,
        "batch.num.messages": 1,
        "linger.ms": 0,
        "queue.buffering.max.messages": min(_CAREFUL_MESSAGES, config["queue.buffering.max.messages"]),
        "queue.buffering.max.kbytes": max(_CAREFUL_KBYTES, largest),
    }


def reader_config(settings: Settings, group: str) -> dict[str, Any]:
    """The properties of a consumer that reads letters or searches, and commits nothing by itself.

    Raises ConfigError as ``client_config`` does.
    """
    return {
        "bootstrap.servers": ",".join(settings.brokers),
        "client.id": settings.client_id,
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 100,
        "queued.max.messages.kbytes": _READ_AHEAD_KBYTES,
        "reconnect.backoff.max.ms": ALWAYS["reconnect.backoff.max.ms"],
        **_security(settings),
        **({"debug": settings.debug} if settings.debug else {}),
        **settings.client_config,
    }


def _sending(settings: Settings) -> dict[str, Any]:
    # Half of the delivery timeout: a request that a silent broker swallowed is repeated at least once.
    socket_timeout = min(_SOCKET_TIMEOUT, max(settings.delivery_timeout / 2, 1.0))
    return {
        "linger.ms": settings.flush_timeout * 1000,
        "batch.num.messages": settings.flush_messages,
        "batch.size": settings.flush_bytes,
        "message.max.bytes": settings.max_event_bytes + _FRAMING,
        "compression.type": settings.compression,
        "queue.buffering.max.messages": settings.queue_messages,
        "queue.buffering.max.kbytes": math.ceil(settings.queue_bytes / 1024),
        "max.in.flight": settings.max_in_flight,
        "delivery.timeout.ms": _ms(settings.delivery_timeout),
        "socket.timeout.ms": _ms(socket_timeout),
        "request.timeout.ms": _ms(min(_REQUEST_TIMEOUT, socket_timeout)),
    }


def _security(settings: Settings) -> dict[str, Any]:
    tls = "ssl" if settings.ssl else "plaintext"
    config: dict[str, Any] = {"security.protocol": f"sasl_{tls}" if settings.sasl_mechanism else tls}
    if settings.sasl_mechanism == "oauthbearer":
        config |= _oauth(settings)
    elif settings.sasl_mechanism:
        config |= {
            "sasl.mechanism": settings.sasl_mechanism.upper(),
            "sasl.username": settings.username,
            "sasl.password": _password(settings),
        }
    if settings.ssl:
        config |= _given(
            {
                "ssl.ca.location": settings.ssl_ca and str(settings.ssl_ca),
                "ssl.certificate.location": settings.ssl_cert and str(settings.ssl_cert),
                "ssl.key.location": settings.ssl_key and str(settings.ssl_key),
                "ssl.key.password": settings.ssl_key_password
                and settings.ssl_key_password.get_secret_value(),
                "enable.ssl.certificate.verification": settings.ssl_verify,
            }
        )
    return config


def _oauth(settings: Settings) -> dict[str, Any]:
    secret = settings.oauth_client_secret
    raw = settings.client_config.keys() - {"sasl.oauthbearer.config"}
    oidc = settings.oauth_token_url or any(name.startswith("sasl.oauthbearer.") for name in raw)
    return _given(
        {
            "sasl.mechanism": "OAUTHBEARER",
            "oauth_cb": settings.oauth_token_provider,
            "sasl.oauthbearer.method": "oidc" if oidc else None,
            "sasl.oauthbearer.token.endpoint.url": settings.oauth_token_url,
            "sasl.oauthbearer.client.id": settings.oauth_client_id,
            "sasl.oauthbearer.client.secret": secret and secret.get_secret_value(),
            "sasl.oauthbearer.scope": settings.oauth_scope,
            "sasl.oauthbearer.extensions": ",".join(f"{k}={v}" for k, v in settings.oauth_extensions.items())
            or None,
        }
    )


def _password(settings: Settings) -> str | None:
    try:
        return settings.sasl_password
    except (OSError, ValueError):
        message = f"PASSWORD_FILE {str(settings.password_file)!r} can no longer be read."
    raise ConfigError(message)


def _given(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if value is not None}


def _ms(seconds: float) -> int:
    return math.ceil(seconds * 1000)
