"""What must hold between settings, once each is right by itself."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator, Set
from typing import TYPE_CHECKING

from tidings.settings.raw import refused
from tidings.settings.values import PLACE, topic_name
from tidings.topics import EVERY_TOPIC

if TYPE_CHECKING:
    from tidings.settings.model import Settings

_log = logging.getLogger("tidings.settings")

Name = Callable[[str], str]
"""Field → what the user calls it."""
Check = Callable[["Settings", Name], Iterator[tuple[str, str]]]
_CHECKS: list[tuple[frozenset[str], Check]] = []


def _reads(*fields: str) -> Callable[[Check], Check]:
    """A check of these fields: left out while one of them is wrong by itself."""

    def register(check: Check) -> Check:
        _CHECKS.append((frozenset(fields), check))
        return check

    return register


def contradictions(settings: Settings, wrong: Set[str], name: Name) -> Iterator[str]:
    """Every problem between settings; ``wrong`` are fields that have a problem of their own already."""
    for fields, check in _CHECKS:
        if not fields & wrong:
            yield from (f"{name(field)}: {problem}" for field, problem in check(settings, name))


def warn(settings: Settings, name: Name) -> None:
    """Log what is allowed but dangerous."""
    if settings.ssl and not settings.ssl_verify:
        _log.warning(
            f"{name('ssl_verify')} is false: brokers are NOT verified. Anyone on the way can read and change "
            "events and take the password. Set SSL_CA to your brokers' CA instead."
        )
    if settings.sasl_mechanism == "plain" and not settings.ssl:
        _log.warning(
            f"{name('username')} and its password cross the network in the clear: "
            "SASL plain without TLS. Set SSL to true, or use scram-sha-512."
        )


@_reads("enabled", "brokers")
def _brokers(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    if settings.enabled and not settings.brokers:
        yield "brokers", "is not set; write host:port, for example localhost:9092"


_TOPIC_FIELDS = ("topic", "audit_topic", "auth_topic", "usage_topic")


@_reads(*_TOPIC_FIELDS, "topics")
def _topic(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    for field in _TOPIC_FIELDS:
        yield from _named(field, getattr(settings, field), settings)


@_reads("topic_map", "topics")
def _topic_map(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    for topic in settings.topic_map.values():
        yield from _named("topic_map", topic, settings)


def _named(field: str, topic: str, settings: Settings) -> Iterator[tuple[str, str]]:
    if topic not in settings.topics:
        try:
            topic_name(topic)
        except ValueError as error:
            yield field, str(error)


@_reads("username", "password", "password_file", "sasl_mechanism")
def _password(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    if settings.password is not None and settings.password_file is not None:
        yield "password_file", f"{name('password')} is set too; give one of them"
        return
    try:
        password = settings.sasl_password
    except (OSError, ValueError):
        yield "password_file", "cannot be read as UTF-8 text"
        return
    if password == "":
        yield ("password" if settings.password_file is None else "password_file"), "holds no password"
    if settings.sasl_mechanism == "oauthbearer":
        if settings.username is not None or password is not None:
            yield (
                "sasl_mechanism",
                "oauthbearer takes OAUTH_TOKEN_URL and OAUTH_CLIENT_ID, no USERNAME or PASSWORD",
            )
    elif settings.username is None and (password is not None or settings.sasl_mechanism is not None):
        given = "sasl_mechanism" if settings.sasl_mechanism else "password"
        yield "username", f"is not set, but {name(given)} is; set both, or neither"
    elif settings.username is not None and password is None:
        yield "password", f"is not set, but {name('username')} is; set it, or PASSWORD_FILE"


@_reads(
    "sasl_mechanism",
    "oauth_token_url",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_token_provider",
    "client_config",
)
def _oauth(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    fields = ("oauth_token_url", "oauth_client_id", "oauth_client_secret")
    given = [field for field in fields if getattr(settings, field) is not None]
    provider = settings.oauth_token_provider is not None
    if settings.sasl_mechanism != "oauthbearer":
        for field in [*given, *(["oauth_token_provider"] if provider else [])]:
            yield field, f"has no effect: {name('sasl_mechanism')} is not oauthbearer"
    elif provider:
        for field in given:
            yield field, "oauth_token_provider is given too; give one of them"
    elif not any("oauthbearer" in raw for raw in settings.client_config):
        # Raw properties may choose another grant (assertions, a cloud's own identity), which needs less.
        for field in set(fields) - set(given):
            yield field, "is not set, but oauthbearer needs it"


@_reads("ssl", "ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password")
def _certificates(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    fields = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password")
    given = [field for field in fields if getattr(settings, field) is not None]
    if not settings.ssl:
        if "ssl" not in settings.model_fields_set:  # set to false, it turns TLS off and says so
            for field in given:
                yield field, f"has no effect, since {name('ssl')} is not set; set it to true"
        return
    if settings.ssl_cert is not None and settings.ssl_key is None:
        yield "ssl_key", f"is not set, but {name('ssl_cert')} is; a certificate is of no use without its key"
    elif settings.ssl_cert is None:
        for field in given[given.index("ssl_ca") + 1 if "ssl_ca" in given else 0 :]:
            yield "ssl_cert", f"is not set, but {name(field)} is"
    yield from _loadable(settings)


def _loadable(settings: Settings) -> Iterator[tuple[str, str]]:
    """Load what librdkafka will load, so that a wrong file is told now and not by the first event."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.ssl_ca is not None and settings.ssl_ca.is_file():
        try:
            context.load_verify_locations(settings.ssl_ca)
        except ssl.SSLError:
            yield "ssl_ca", f"{str(settings.ssl_ca)!r} holds no certificate in PEM form"
    if settings.ssl_cert is not None and settings.ssl_key is not None:
        secret = settings.ssl_key_password
        try:  # an empty password, not None: OpenSSL would ask the terminal for one
            context.load_cert_chain(
                settings.ssl_cert, settings.ssl_key, secret.get_secret_value() if secret else ""
            )
        except (ssl.SSLError, ValueError):
            yield (
                "ssl_key",
                f"{str(settings.ssl_key)!r} does not open with SSL_KEY_PASSWORD, "
                f"is not in PEM form, or is not the key of {str(settings.ssl_cert)!r}",
            )


@_reads("client_config")
def _raw(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    for problem in refused(settings.client_config):
        yield "client_config", problem


@_reads("delivery_timeout", "flush_timeout")
def _times(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    if settings.flush_timeout >= settings.delivery_timeout:
        yield (
            "flush_timeout",
            f"must be below {name('delivery_timeout')}, or events time out before they leave",
        )


@_reads("group_protocol", "session_timeout", "max_poll_interval")
def _group(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    if settings.group_protocol == "classic" and settings.max_poll_interval < settings.session_timeout:
        yield "max_poll_interval", f"must not be below {name('session_timeout')}: librdkafka refuses that"


@_reads("queue_bytes", "max_event_bytes", "flush_bytes")
def _sizes(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    for field in ("max_event_bytes", "flush_bytes"):
        if getattr(settings, field) > settings.queue_bytes:
            yield "queue_bytes", f"must be {getattr(settings, field):,} at least, or {name(field)} never fits"


@_reads("durability", "store_max_bytes", "intake_bytes", "queue_bytes", "max_event_bytes")
def _room(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    """All that is in memory must fit into the store, whatever happens, and each event on the way there."""
    if settings.durability == "memory":
        return
    least = 2 * (settings.queue_bytes + settings.intake_bytes)
    if settings.store_max_bytes < least:
        yield (
            "store_max_bytes",
            f"must be {least:,} at least, twice {name('queue_bytes')} and {name('intake_bytes')} together, "
            "or what is in memory may not fit",
        )
    if settings.intake_bytes < settings.max_event_bytes:
        yield (
            "intake_bytes",
            f"must be {settings.max_event_bytes:,} at least, or {name('max_event_bytes')} never fits",
        )


@_reads("durability", "store_after", "delivery_timeout")
def _store_after(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    if settings.durability != "memory" and settings.store_after >= settings.delivery_timeout:
        yield (
            "store_after",
            f"must be below {name('delivery_timeout')}, or events time out before they are stored",
        )


@_reads("retry_backoff", "retry_backoff_max")
def _backoff(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    if settings.retry_backoff > settings.retry_backoff_max:
        yield "retry_backoff", f"must not be above {name('retry_backoff_max')}"


@_reads("dlq_topic", *_TOPIC_FIELDS, "topics", "topic_map")
def _dead_letters(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    topic, names = settings.dlq_topic, settings.topics
    if PLACE in topic:
        return
    if topic in names:
        yield "dlq_topic", f"is a logical name of {name('topics')}, for events; name a topic of its own"
    for field, events in (
        *((field, [getattr(settings, field)]) for field in _TOPIC_FIELDS),
        ("topics", names.values()),
        ("topic_map", settings.topic_map.values()),
    ):
        if topic in {names.get(each, each) for each in events}:
            yield "dlq_topic", f"is in {name(field)} too: letters need a topic that no event goes to"
            return


@_reads("rate_limit", "rate_burst")
def _rate(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    if settings.rate_burst is not None and settings.rate_limit is None:
        yield "rate_burst", f"has no effect, since {name('rate_limit')} is not set"


@_reads("bulkhead", "topics")
def _bulkhead(settings: Settings, name: Name) -> Iterator[tuple[str, str]]:
    for topic in settings.bulkhead:
        if topic != EVERY_TOPIC:
            yield from _named("bulkhead", topic, settings)
        if settings.topics.get(topic, topic) != topic and settings.topics[topic] in settings.bulkhead:
            yield "bulkhead", f"has {topic!r} and its topic {settings.topics[topic]!r}; give one of them"
