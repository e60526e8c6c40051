"""The AsyncAPI document of the declared events: which topics, which messages, which schemas."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from tidings.events.declare import Declaration, Registry, declaration_of, default_registry
from tidings.events.schemas.classes import REF, changed, schema_of
from tidings.events.schemas.documents import Document, dump, read, write
from tidings.events.schemas.fields import Schema
from tidings.events.schemas.keys import key_schema
from tidings.events.schemas.wire import Format, Wire, wire_of

__all__ = ["Document", "asyncapi", "dump", "read", "write"]

VERSION: Final = "3.1.0"
"""Of the AsyncAPI specification."""

_KAFKA_BINDING: Final = "0.5.0"
_DEFAULT_TOPIC: Final = "default-events"  # the default of the setting TOPIC
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")


def asyncapi(
    registry: Registry = default_registry,
    *,
    title: str,
    version: str,
    description: str | None = None,
    source: str | None = None,
    topic_for: Callable[[str], str] | None = None,
    servers: Mapping[str, str | Mapping[str, Any]] | None = None,
    format: Format = "json",
) -> Document:
    """An AsyncAPI 3.1.0 document of the events of ``registry``: one ``send`` operation for every topic.

    ``title``, ``version`` and ``description`` are the application's. ``source`` is its SERVICE, shown as an
    example. ``topic_for`` gives the topic of an event type, for example ``publisher.topic_for`` of a
    Publisher with the same registry; by default it is the declared topic, else ``default-events``.
    ``servers`` are AsyncAPI server objects by name, or ``host:port``. ``format`` is the setting ENVELOPE:
    ``json``, ``cloudevents`` or ``cloudevents-binary``.

    Payloads are what is on the wire: the envelope around the data. ``x-tidings-key`` tells where the key
    comes from: the path of a field, or ``function``. The same declarations give the same document, whatever
    their order. Raises ConfigError for a class that has no schema and for an unknown format. Any thread.

    Source: the AsyncAPI specification 3.1.0, its Kafka bindings 0.5.0, JSON Schema draft-07.
    """
    schemas = _Schemas()
    messages: dict[str, Document] = {}
    topics: dict[str, list[str]] = {}
    for event_type, cls in sorted(registry.types.items()):
        declaration = declaration_of(cls) or Declaration(
            event_type=event_type, topic=None, key=None, version=None
        )
        name = _component_name(event_type)
        data = schemas.add(name, cls)
        wire = wire_of(format, event_type, data, source=source, version=declaration.version)
        messages[name] = _message(event_type, cls, declaration, wire, schemas.description(data))
        topic = topic_for(event_type) if topic_for else declaration.topic or _DEFAULT_TOPIC
        topics.setdefault(topic, []).append(name)
    return _without_none(
        {
            "asyncapi": VERSION,
            "info": _without_none({"title": title, "version": version, "description": description}),
            "defaultContentType": "application/json",
            "x-tidings-format": format,
            "servers": None if servers is None else _servers(servers),
            "channels": {topic: _channel(topic, names) for topic, names in sorted(topics.items())},
            "operations": {f"send-{topic}": _send(topic, names) for topic, names in sorted(topics.items())},
            "components": {"messages": messages, "schemas": schemas.sorted()},
        }
    )


class _Schemas:
    """The schemas of all events by name: shared where they are the same, an event's own where not."""

    def __init__(self) -> None:
        self._known: dict[str, Schema] = {}

    def add(self, name: str, cls: type) -> Schema:
        """Take in the schemas of a class; its own, as a rule a reference."""
        root, new = schema_of(cls)
        if any(self._known.get(taken, schema) != schema for taken, schema in new.items()):

            def renamed(schema: Schema) -> Schema:
                if "$ref" in schema:
                    schema["$ref"] = f"{REF}{name}.{schema['$ref'].removeprefix(REF)}"
                return schema

            new = {f"{name}.{inner}": changed(schema, renamed) for inner, schema in new.items()}
            root = changed(root, renamed)
        self._known.update(new)
        return root

    def description(self, schema: Schema) -> str | None:
        found: str | None = self._known.get(schema.get("$ref", "").removeprefix(REF), schema).get(
            "description"
        )
        return found

    def sorted(self) -> dict[str, Schema]:
        return dict(sorted(self._known.items()))


def _message(
    event_type: str, cls: type, declaration: Declaration, wire: Wire, description: str | None
) -> Document:
    key = declaration.key
    binding: Document = {"bindingVersion": _KAFKA_BINDING}
    if key is not None:
        binding = {"key": key_schema(cls, key), **binding}
    return _without_none(
        {
            "name": event_type,
            "title": cls.__name__,
            "description": description,
            "contentType": wire.content_type,
            "correlationId": {"location": f"$message.header#/{wire.correlation_header}"},
            "headers": wire.headers,
            "payload": wire.payload,
            "bindings": {"kafka": binding},
            "x-tidings-key": key if key is None or isinstance(key, str) else "function",
        }
    )


def _channel(topic: str, names: list[str]) -> Document:
    return {
        "address": topic,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }


def _send(topic: str, names: list[str]) -> Document:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic}"},
        "messages": [{"$ref": f"#/channels/{topic}/messages/{name}"} for name in names],
    }


def _servers(servers: Mapping[str, str | Mapping[str, Any]]) -> Document:
    return {
        name: {"host": server, "protocol": "kafka"} if isinstance(server, str) else dict(server)
        for name, server in sorted(servers.items())
    }


def _component_name(event_type: str) -> str:
    """The event type itself where AsyncAPI takes it as a name (``[A-Za-z0-9._-]+``), else made of it."""
    safe = _UNSAFE.sub("_", event_type)
    if safe == event_type:
        return event_type
    return f"{safe}-{hashlib.sha256(event_type.encode()).hexdigest()[:8]}"


def _without_none(document: Document) -> Document:
    return {name: value for name, value in document.items() if value is not None}
