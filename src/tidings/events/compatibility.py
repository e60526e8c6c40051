"""Compatibility: what between two AsyncAPI documents breaks a consumer, and a check for CI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final, Literal, get_args

import msgspec

from tidings.errors import ConfigError, DocumentError
from tidings.events.schemas.alternatives import resolve
from tidings.events.schemas.documents import Document, read
from tidings.events.schemas.reading import Change, Reading

Mode = Literal["backward", "forward", "full"]

_BROKEN: Final = {
    "backward": "consumers with the new schema cannot read events written before",
    "forward": "consumers with the old schema cannot read new events",
    "full": "consumers with the new schema cannot read events written before, nor those with the old schema "
    "new ones",
}


def breaking_changes(before: Document, after: Document, mode: Mode = "full") -> list[str]:
    """What changed from ``before`` to ``after`` that breaks a consumer, a sentence each; empty if nothing.

    The modes are those of Confluent Schema Registry, between two versions: ``backward`` means that consumers
    with the new schema read events written before, ``forward`` that consumers with the old one read new
    events, ``full`` both. A field is optional if its schema does not require it: an optional field may come,
    and its going breaks ``forward`` alone, for consumers that look for it (there Confluent is more lenient).
    In every mode an event type stays, with its topic, its key and its format.

    Documents are those of ``asyncapi``; names of schemas, their order and what only describes mean nothing.
    Raises DocumentError for other documents, ConfigError for another mode. Any thread.

    Source: Confluent Schema Registry, "Schema Evolution and Compatibility" (compatibility types).
    """
    if mode not in get_args(Mode):
        raise ConfigError(f"mode {mode!r} is not one of {', '.join(get_args(Mode))}.")
    old, new = _events(before), _events(after)
    found = []
    for event_type in sorted(old):
        if event_type in new:
            # Of each event anew: what one has told of a type that both hold, the next one tells again.
            readings = {
                name: Reading(before, after, backward=name == "backward")
                for name in ("backward", "forward")
                if mode in {name, "full"}
            }
            sentences = list(_compared(old[event_type], new[event_type], readings))
        else:
            sentences = ["the event type was removed or renamed: its consumers get no more events."]
        found += [f"{event_type}: {sentence}" for sentence in sentences]
    return found


def check_compatibility(path: str | os.PathLike[str], document: Document, mode: Mode = "full") -> None:
    """Compare the document with the one that was committed to a file, for a test or a CI job.

    ``mode`` is as for ``breaking_changes``. Raises DocumentError, a ConfigError, that lists every breaking
    change and says how to accept it; also where the file is missing or is no such document.
    """
    committed = read(path)
    try:
        changes = breaking_changes(committed, document, mode)
    except DocumentError as error:
        raise DocumentError(f"{os.fspath(path)}: {error.args[0]}") from None
    if changes:
        listed = "".join(f"\n- {change}" for change in changes)
        raise DocumentError(f"{len(changes)} breaking change(s) since {os.fspath(path)} ({mode}):{listed}\n")


class _Event(msgspec.Struct, frozen=True):
    """What a document says of an event type; ``parts`` are schemas by the path they begin."""

    topic: str
    key_from: str | None
    wire_format: str | None
    parts: dict[str, Any]


def _events(document: Document) -> dict[str, _Event]:
    """The event types of a document by name. Raises DocumentError."""
    found: dict[str, _Event] = {}
    try:
        wire_format = document.get("x-tidings-format")
        for channel in document["channels"].values():
            for reference in channel["messages"].values():
                message = resolve(reference["$ref"], document)
                payload = message["payload"]
                found[message["name"]] = _Event(
                    topic=channel["address"],
                    key_from=message.get("x-tidings-key"),
                    wire_format=wire_format,
                    parts={
                        "key": message["bindings"]["kafka"].get("key", True),
                        "headers": message["headers"],
                        **_data_and_envelope(payload, bare=wire_format == "cloudevents-binary"),
                    },
                )
    except (KeyError, TypeError, AttributeError) as error:
        raise DocumentError(f"This is not a document of tidings' asyncapi(): {error!r}.") from None
    return found


def _data_and_envelope(payload: Any, *, bare: bool) -> dict[str, Any]:
    return {"data": payload} if bare else {"data": payload["properties"]["data"], "": payload}


def _compared(old: _Event, new: _Event, readings: dict[str, Reading]) -> Iterator[str]:
    told = set()
    if old.topic != new.topic:
        yield f"the topic changed from {old.topic} to {new.topic}: its consumers have to subscribe anew."
    if old.key_from != new.key_from:
        told |= {"key"}
        yield (
            f"the key changed from {old.key_from or 'none'} to {new.key_from or 'none'}: events that were in "
            "order, in one partition, may be so no more."
        )
    if old.wire_format != new.wire_format:
        told |= {"headers", ""}
        yield (
            f"the format changed from {old.wire_format} to {new.wire_format}: of the consumers only tidings' "
            "own read both."
        )
    broken: dict[Change, set[str]] = {}
    for root in [root for root in old.parts if root in new.parts and root not in told]:
        for mode, reading in readings.items():
            for change in reading.changes(old.parts[root], new.parts[root]):
                path = f"{root}{change.path}".removeprefix(".")
                broken.setdefault(change._replace(path=path), set()).add(mode)
    for change, modes in broken.items():
        who = change.who or _BROKEN[modes.pop() if len(modes) == 1 else "full"]
        yield f"{_subject(change.path)} {change.what}: {who}. {change.advice}".rstrip()


def _subject(path: str) -> str:
    return f"the field {path}" if path not in {"", "key"} else "the key" if path else "the payload"
