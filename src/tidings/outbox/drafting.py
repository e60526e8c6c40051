"""Drafting: an event as the row that it becomes, checked, encoded and routed as publish() would do it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from tidings.errors import ConfigError, InvalidEvent
from tidings.events.headers import Headers, Pair
from tidings.events.keys import Key
from tidings.letters.exact import as_bytes, as_text
from tidings.publishing.publisher import Publisher

if TYPE_CHECKING:
    from tidings.settings import Settings


class Options(TypedDict, total=False):
    """What ``Outbox.add`` takes beside the event: the options of ``Publisher.publish``."""

    event_type: str | None
    topic: str | None
    key: Key
    headers: Headers | None
    correlation_id: str | None
    event_id: str | None
    timestamp: datetime | int | None


class NewRow(TypedDict):
    """The columns of a row that is to be inserted; the others have their defaults."""

    event_id: str
    topic: str
    key: bytes | None
    value: bytes
    headers: str
    lane: int | None
    created_at: int


Watch = Callable[[str, bytes, bytes | None, list[Pair], bytes], None]
"""Is given topic, value, key, headers and id of each event that becomes a row, and may add headers."""


class Drafts:
    """Makes rows of events, by the settings, the topic mappings and the registry of a publisher.

    Without a publisher: by ``settings``, or those of the environment; BROKERS are not needed, since nothing
    is sent. Any thread. Raises ConfigError.
    """

    def __init__(self, publisher: Publisher | Settings | None, **overrides: Any) -> None:
        if isinstance(publisher, Publisher):
            if overrides:
                raise ConfigError(
                    f"{', '.join(sorted(overrides))}: an outbox has the settings of its publisher."
                )
            self._publisher = publisher
        else:
            self._publisher = Publisher(publisher, **{**overrides, "enabled": False})
        self._orders = self._publisher._settings.ordering == "key"
        self.max_bytes = self._publisher._settings.max_event_bytes
        self.client_id = self._publisher._settings.client_id
        self.watch: Watch | None = None

    def row(
        self,
        event: object,
        *,
        event_type: str | None = None,
        topic: str | None = None,
        key: Key = None,
        headers: Headers | None = None,
        correlation_id: str | None = None,
        event_id: str | None = None,
        timestamp: datetime | int | None = None,
    ) -> NewRow:
        """The row of an event. Raises PublishError where ``publish`` would, whatever ON_REJECT says."""
        (to, value, key_bytes, pairs, id_bytes), _ = self._publisher._draft(
            event, event_type, topic, key, headers, correlation_id, event_id, timestamp
        )
        if b"\0" in id_bytes:
            raise InvalidEvent("event_id holds a NUL, which Postgres does not keep in text")
        if self.watch is not None:
            self.watch(to, value, key_bytes, pairs, id_bytes)
        return {
            "event_id": id_bytes.decode(),
            "topic": to,
            "key": key_bytes,
            "value": value,
            "headers": written([pair for pair in pairs if pair[0] != "event_id"]),
            "lane": lane_of(to, key_bytes) if self._orders else None,
            "created_at": time.time_ns() // 1_000_000,
        }


def lane_of(topic: str, key: bytes | None) -> int | None:
    """The number, of 64 bits, that rows of one topic and key share; None without a key, and so no order."""
    if key is None:
        return None
    return int.from_bytes(
        hashlib.blake2b(b"%b\0%b" % (topic.encode(), key), digest_size=8).digest(), signed=True
    )


def written(pairs: list[Pair]) -> str:
    """Headers as JSON, read best by people: ``[["event_type","order.placed"],["mark","/w==","base64"]]``."""
    return msgspec.json.encode([_written(name, content) for name, content in pairs]).decode()


def read(headers: str) -> list[Pair]:
    """The headers again. Raises InvalidEvent when that is not what stands there."""
    try:
        return [_read(*header) for header in _decode(headers)]
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise InvalidEvent(f"The headers of the row cannot be read: {error}.") from None


def _read(name: str, content: str | None, encoding: str = "text") -> Pair:
    return name, None if content is None else as_bytes(content, "text" if encoding == "text" else "base64")


def _written(name: str, content: bytes | None) -> tuple[str | None, ...]:
    if content is None:
        return name, None
    text, encoding = as_text(content)
    return (name, text) if encoding == "text" else (name, text, encoding)


_decode = msgspec.json.Decoder(list[list[Any]]).decode
