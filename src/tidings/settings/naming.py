"""Fields: where Kafka is, who we are there, which topics events go to, and how the publisher behaves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from tidings.settings.base import Group
from tidings.settings.raw import RawProperties, raw_properties
from tidings.settings.values import addresses, label, mapping, topics_of

CONTEXTS = frozenset(
    (
        *(
            "generic",
            "broker",
            "topic",
            "metadata",
            "feature",
            "queue",
            "msg",
            "protocol",
            "cgrp",
            "security",
        ),
        *(
            "fetch",
            "interceptor",
            "plugin",
            "consumer",
            "admin",
            "eos",
            "mock",
            "assignor",
            "conf",
            "telemetry",
            "all",
        ),
    )
)


def _script() -> str:
    """The name of the running script; of a package run by ``python -m``, the package's."""
    path = Path(sys.argv[0] if sys.argv else "")
    name = path.parent.name if path.stem == "__main__" else path.stem
    return name if name and not name.startswith("-") else "python"  # -c, -m, or nothing: a prompt


def _debug(value: object) -> object:
    """``true`` means every context, ``false`` none: what one writes before reading what DEBUG takes."""
    if isinstance(value, bool) or (isinstance(value, str) and value.lower() in {"true", "false", "1", "0"}):
        return "all" if value is True or str(value).lower() in {"true", "1"} else ""
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        value = ",".join(value)
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        unknown = [part for part in parts if part not in CONTEXTS]
        if unknown:
            known = ", ".join(sorted(CONTEXTS))
            raise ValueError(f"librdkafka has no debug context {unknown[0]!r}; it has {known}")
        return ",".join(parts)
    return value


class Naming(Group):
    """Where Kafka is, who we are there, and which topics events go to."""

    brokers: Annotated[tuple[str, ...], BeforeValidator(addresses)] = ()
    """Kafka's bootstrap servers, each ``host:port`` (IPv6 ``[::1]:9092``); commas between them in the
    environment, a list in YAML. Any of them leads to the whole cluster; name two or three. The port is
    required, as Kafka's own clients have it. Required unless ENABLED is false: there is no default, so that
    no service talks to the wrong cluster. librdkafka: ``bootstrap.servers``."""

    service: Annotated[str, AfterValidator(label)] = Field(default_factory=_script)
    """The source written into each event. Default: the name of the running script."""

    version: Annotated[str, AfterValidator(label)] = "1.0"
    """The schema version of events whose class declares none. In YAML in quotes, or 1.10 becomes 1.1."""

    client_id: Annotated[str, AfterValidator(label)] = Field(
        default_factory=lambda data: data.get("service", "tidings")
    )
    """Who we are in the brokers' logs, quotas and metrics. Default: SERVICE. librdkafka: ``client.id``."""

    topic: str = "default-events"
    """Where events go that nothing sends elsewhere: neither a mapping nor their class. A topic, or a logical
    name of TOPICS."""

    topics: Annotated[dict[str, str], BeforeValidator(mapping), AfterValidator(topics_of)] = Field(
        default_factory=dict
    )
    """Logical name → topic, resolved wherever a topic is named, so that environments may differ in names.
    ``orders=prod.orders,users=prod.users`` or a JSON object in the environment; a map in YAML."""

    topic_map: Annotated[dict[str, str], BeforeValidator(mapping)] = Field(default_factory=dict)
    """Event type, or a pattern such as ``user.*``, → topic or logical name; goes before what classes declare.
    Written as TOPICS. Empty by default: events go where their classes say."""

    audit_topic: str = "audit-events"
    """Where audit entries go (``AuditEntry`` of the catalogue, the web middleware). A topic, or a logical
    name of TOPICS."""

    auth_topic: str = "auth-events"
    """Where authentication events go (``AuthEvent``, ``UserTokenRefreshed`` of the catalogue)."""

    usage_topic: str = "usage-events"
    """Where usage (billing) events go."""

    envelope: Literal["json", "cloudevents", "cloudevents-binary"] = "json"
    """How events are written: ``json``, tidings' own envelope; ``cloudevents``, one JSON object as
    CloudEvents 1.0 has it; ``cloudevents-binary``, the data as the value and the rest as ``ce_*`` headers.
    All three are read, whatever is set here."""

    enabled: bool = True
    """False: the publisher takes events and discards them, connects to nothing and needs no BROKERS, so that
    an application needs no ``if publisher is not None``."""

    on_reject: Literal["raise", "log"] = "raise"
    """What publish() does with an event it cannot take: ``raise`` (the caller should know), or ``log``: it is
    logged and counted, its Delivery has failed, and publish() raises only programming errors."""

    debug: Annotated[str, BeforeValidator(_debug)] = ""
    """librdkafka's debug contexts, such as ``broker,security``, logged at DEBUG by ``tidings.kafka``;
    ``true`` means ``all``. None by default: they are many lines for each request. librdkafka: ``debug``."""

    config_file: Path | None = None
    """A YAML file with one top-level ``KAFKA:`` map of these settings. The environment goes before it."""

    client_config: Annotated[
        RawProperties, BeforeValidator(raw_properties), PlainSerializer(RawProperties.masked)
    ] = Field(default_factory=RawProperties)
    """Raw librdkafka properties (JSON in the environment, a map in YAML), applied last. For the rare property
    without a setting; what has one, and what would break tidings' promises, is refused with the reason."""
