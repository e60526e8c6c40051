"""Names that look like settings and are none: probable typos, and other programs'."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable, Mapping

_log = logging.getLogger("tidings.settings")

_ALSO_CALLED = {
    "BOOTSTRAP_SERVERS": "BROKERS",
    "BOOTSTRAP_SERVER": "BROKERS",
    "BROKER_LIST": "BROKERS",
    "BROKER": "BROKERS",
    "SERVERS": "BROKERS",
    "HOSTS": "BROKERS",
    "USER": "USERNAME",
    "SASL_USERNAME": "USERNAME",
    "SASL_PASSWORD": "PASSWORD",
    "SASL_MECHANISMS": "SASL_MECHANISM",
    "SECURITY_PROTOCOL": "SSL",
    "SSL_CA_LOCATION": "SSL_CA",
    "SSL_CAFILE": "SSL_CA",
    "SSL_CERTIFICATE_LOCATION": "SSL_CERT",
    "SSL_KEY_LOCATION": "SSL_KEY",
}
"""What other clients call these settings; told only while ours is not set."""

_OTHERS = re.compile(
    r"""
    # the start scripts of Kafka, test suites, tools
    HOME | OPTS | CLASSPATH | HEAP_OPTS | JVM_PERFORMANCE_OPTS | GC_LOG_OPTS | DEBUG_(FLAG|OPTS|SUSPEND_FLAG)
    | (TEST|VERSION|LOG4J|JMX|JAVA|SCALA|REST|CONNECT|SCHEMA|CLUSTERS?|UI|CFG|MM|KRAFT|MANAGER|EXPORTER)_.*
    # a Kubernetes service called kafka, or kafka-something
    | (.*_)?SERVICE_(HOST|PORT)(_.*)? | (.*_)?PORT(_\d+_.*)?
    # the broker's own properties, as the Docker images take them
    | (ADVERTISED|AUTHORIZER|AUTO|BACKGROUND|BROKER|CONFLUENT|CONNECTIONS?|CONTROLLER|DEFAULT|DELETE)_.*
    | (FETCH|GROUP|INTER_BROKER|LEADER|LISTENERS?|LOG|MESSAGE|METADATA|METRICS?|MIN|NODE|NUM|OFFSETS)_.*
    | (PRINCIPAL|PROCESS|PRODUCER|QUEUED|QUOTA|REMOTE|REPLICA|REQUEST|SHARE|SOCKET|SUPER|TELEMETRY)_.*
    | (CREATE|TRANSACTION|ZOOKEEPER)_.* | LISTENERS | COMPRESSION_(TYPE|\w+_LEVEL)
    | MAX_(CONNECTIONS?|INCREMENTAL|REQUEST)_.* | SECURITY_(INTER|PROVIDERS).*
    | SSL_(KEYSTORE|TRUSTSTORE|KEY_CREDENTIALS|CLIENT|ENABLED|CIPHER|PRINCIPAL|ENDPOINT|PROTOCOL|PROVIDER).*
    | SSL_SECURE.* | SASL_(ENABLED|JAAS|KERBEROS|LOGIN|CLIENT|SERVER|OAUTHBEARER|MECHANISM_).*
    """,
    re.VERBOSE,
)

_told: set[str] = set()


def look_at_environment(environment: Mapping[str, str], known: Iterable[str]) -> None:
    """Warn, once per process and name, of ``KAFKA_*`` variables that were probably meant for tidings."""
    names = {name.upper().removeprefix("KAFKA_") for name in environment if name.upper().startswith("KAFKA_")}
    ours = set(known)
    for name in sorted(names - ours):
        if likely := _likely(name, names, ours):
            _tell(
                f"KAFKA_{name}",
                f"KAFKA_{name} is no setting of tidings and was not read. Is KAFKA_{likely} meant?",
            )


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, if there is one."""
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None


def _likely(name: str, present: set[str], ours: set[str]) -> str | None:
    also = _ALSO_CALLED.get(name)
    if also is not None:
        return None if also in present else also
    if _OTHERS.fullmatch(name):
        return None
    found = difflib.get_close_matches(name, sorted(ours), n=1, cutoff=0.8)
    return found[0] if found else None


def _tell(name: str, message: str) -> None:
    if name not in _told:
        _told.add(name)
        _log.warning(message)
