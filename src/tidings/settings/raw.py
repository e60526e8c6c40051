"""Which librdkafka properties CLIENT_CONFIG may hold: everything but these, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tidings.settings.values import json_object

_EVERY_REPORT = "tidings accounts for every event by its delivery report"
_ALWAYS = "tidings promises delivery with acks=all and an idempotent producer"
_RETRIES = (
    "librdkafka repeats inside DELIVERY_TIMEOUT; fewer retries would fail events that an outage only delays"
)
_ORDER = "it would break the order of a key's events"
_TRANSACTIONS = "a transaction would hold events back that tidings reports as delivered"
_COMMITS = "an offset is stored when its event is handled or a letter, and committed by tidings"
_CALLBACK = "tidings sets the callbacks of its client itself"

PROMISES: Mapping[str, str] = MappingProxyType(
    {
        "acks": _ALWAYS,
        "request.required.acks": _ALWAYS,
        "enable.idempotence": _ALWAYS,
        "enable.gapless.guarantee": "one failed event would stop the client for good",
        "delivery.report.only.error": _EVERY_REPORT,
        "enabled_events": _EVERY_REPORT,
        "retries": _RETRIES,
        "message.send.max.retries": _RETRIES,
        "queuing.strategy": _ORDER,
        "transactional.id": _TRANSACTIONS,
        "transaction.timeout.ms": _TRANSACTIONS,
        "enable.auto.commit": _COMMITS,
        "auto.commit.enable": _COMMITS,
        "enable.auto.offset.store": _COMMITS,
        "offset.store.method": _COMMITS,
        "auto.offset.reset": "a new group begins with the oldest event, and passes none over",
        "partition.assignment.strategy": "tidings gives partitions back one by one: cooperative-sticky",
        "enable.partition.eof": "the end of a partition is no event",
        "on_commit": _CALLBACK,
        "on_delivery": _CALLBACK,
        "logger": "give Publisher(logger=…)",
        "log.queue": _CALLBACK,
        "opaque": _CALLBACK,
        "default_topic_conf": "give its properties directly",
        "default.topic.config": "give its properties directly",
        "interceptors": _CALLBACK,
    }
)
"""Properties that would break what tidings promises."""

OWN_SETTING: Mapping[str, str] = MappingProxyType(
    {
        "bootstrap.servers": "BROKERS",
        "metadata.broker.list": "BROKERS",
        "client.id": "CLIENT_ID",
        "debug": "DEBUG",
        "security.protocol": "SSL and SASL_MECHANISM",
        "sasl.mechanism": "SASL_MECHANISM",
        "sasl.mechanisms": "SASL_MECHANISM",
        "sasl.username": "USERNAME",
        "sasl.password": "PASSWORD",
        "sasl.oauthbearer.method": "OAUTH_TOKEN_URL",
        "sasl.oauthbearer.client.id": "OAUTH_CLIENT_ID",
        "sasl.oauthbearer.client.credentials.client.id": "OAUTH_CLIENT_ID",
        "sasl.oauthbearer.client.secret": "OAUTH_CLIENT_SECRET",
        "sasl.oauthbearer.client.credentials.client.secret": "OAUTH_CLIENT_SECRET",
        "sasl.oauthbearer.scope": "OAUTH_SCOPE",
        "sasl.oauthbearer.extensions": "OAUTH_EXTENSIONS",
        "sasl.oauthbearer.token.endpoint.url": "OAUTH_TOKEN_URL",
        "oauth_cb": "oauth_token_provider (in code)",
        "ssl.ca.location": "SSL_CA",
        "ssl.certificate.location": "SSL_CERT",
        "ssl.key.location": "SSL_KEY",
        "ssl.key.password": "SSL_KEY_PASSWORD",
        "enable.ssl.certificate.verification": "SSL_VERIFY",
        "max.in.flight": "MAX_IN_FLIGHT",
        "max.in.flight.requests.per.connection": "MAX_IN_FLIGHT",
        "delivery.timeout.ms": "DELIVERY_TIMEOUT",
        "message.timeout.ms": "DELIVERY_TIMEOUT",
        "linger.ms": "FLUSH_TIMEOUT",
        "queue.buffering.max.ms": "FLUSH_TIMEOUT",
        "batch.num.messages": "FLUSH_MESSAGES",
        "batch.size": "FLUSH_BYTES",
        "compression.type": "COMPRESSION",
        "compression.codec": "COMPRESSION",
        "queue.buffering.max.messages": "QUEUE_MESSAGES",
        "queue.buffering.max.kbytes": "QUEUE_BYTES",
        "message.max.bytes": "MAX_EVENT_BYTES",
        "group.id": "GROUP_ID",
        "group.instance.id": "GROUP_INSTANCE_ID",
        "group.protocol": "GROUP_PROTOCOL",
        "session.timeout.ms": "SESSION_TIMEOUT",
        "max.poll.interval.ms": "MAX_POLL_INTERVAL",
    }
)
"""Properties that have a setting of their own: two places for one thing would contradict each other."""

KEYED_PARTITIONERS = frozenset(
    {"consistent", "consistent_random", "murmur2", "murmur2_random", "fnv1a", "fnv1a_random"}
)
"""Partitioners that keep the events of a key in one partition."""

_HIDING = ("password", "passphrase", "secret", "pem", "key", "token", "jwt")


def refused(properties: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with raw properties, by name. Never shows a value: it may be a secret."""
    for given, value in properties.items():
        name = given.removeprefix("topic.")  # librdkafka takes topic properties with it too
        if name in OWN_SETTING:
            yield f"{given!r} has its own setting: {OWN_SETTING[name]}"
        elif name in PROMISES:
            yield f"{given!r} is not yours to set: {PROMISES[name]}"
        elif name.endswith("_cb"):
            yield f"{given!r} is not yours to set: {_CALLBACK}"
        elif name.startswith("sasl.kerberos."):
            yield f"{given!r} belongs to GSSAPI, which tidings does not take (see SASL_MECHANISM)"
        elif name == "partitioner" and value not in KEYED_PARTITIONERS:
            these = ", ".join(sorted(KEYED_PARTITIONERS))
            yield f"{given!r} must keep a key in one partition: one of {these}"
        elif not isinstance(value, str | int | float):
            yield f"{given!r} must be text, a number, true or false, not {type(value).__name__}"


class RawProperties(dict[str, Any]):
    """Raw properties by name. Its repr shows names, and only values that cannot be a secret."""

    def masked(self) -> dict[str, Any]:
        """For logs: text is masked, and what stands under a name that sounds secret."""
        return {
            name: "**********" if isinstance(value, str) or any(word in name for word in _HIDING) else value
            for name, value in self.items()
        }

    def __repr__(self) -> str:
        return repr(self.masked())


def raw_properties(value: object) -> RawProperties:
    """Raw properties from JSON or a mapping. Raises ValueError, which shows nothing of it."""
    return RawProperties(json_object(value))
