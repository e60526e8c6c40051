"""The frame: what goes around a payload on the wire, joined around bytes that were encoded once.

``{"event_id","event_type","timestamp","source","version","correlation_id","data":{…}}``, or the same as a
structured CloudEvent; the binary form is in ``cloudevents.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from tidings.errors import InvalidEvent
from tidings.events.codec import encode_native, to_json
from tidings.events.headers import CONTENT_TYPE, Pair

_OWN: Final = frozenset(
    ("event_id", "event_type", "timestamp", "source", "version", "correlation_id", "data")
)


class Framing(Protocol):
    """How events of one type are framed. Immutable: any thread."""

    def around(
        self,
        data: bytes,
        event_id: bytes,
        timestamp: bytes,
        correlation_id: str | None,
        quoted: bytes | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> tuple[bytes, list[Pair]]:
        """The value and the headers of one event.

        ``quoted`` is its id in JSON, where that is not the id as it is; ``extra`` are more fields, by their
        names in the envelope.
        """


class Frame:
    """What all events of one type have in common, as bytes, when the envelope is one JSON object.

    Joining costs 0.26 µs where encoding a struct of the same fields costs 0.37.
    """

    __slots__ = ("_extra", "_read_ids", "after_id", "after_time", "before_id", "content_type", "type_header")

    def __init__(
        self,
        event_type: str,
        *,
        before_id: bytes,
        after_id: bytes,
        after_time: bytes,
        content_type: Pair = CONTENT_TYPE,
        read_ids: Callable[[bytes], tuple[str, str]],
        extra: Callable[[Mapping[str, object]], bytes],
    ) -> None:
        self.before_id = before_id
        self.after_id = after_id
        self.after_time = after_time
        self.content_type = content_type
        self.type_header: Pair = ("event_type", event_type.encode())
        self._read_ids = read_ids
        self._extra = extra

    def around(
        self,
        data: bytes,
        event_id: bytes,
        timestamp: bytes,
        correlation_id: str | None,
        quoted: bytes | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> tuple[bytes, list[Pair]]:
        """One JSON object, and four headers."""
        if quoted is None:
            quoted = b'"%s"' % event_id
        if correlation_id is None:
            correlation, header = quoted, event_id
        else:
            correlation, header = text(correlation_id, "correlation_id")
        value = _join(
            (
                self.before_id,
                quoted,
                self.after_id,
                timestamp,
                self.after_time,
                correlation,
                self._extra(extra) if extra else b"",
                b',"data":',
                data,
                b"}",
            )
        )
        return value, self._headers(event_id, header)

    def headers_of(self, value: bytes) -> list[Pair]:
        """The four headers again, from the value they went with: nobody has to keep them."""
        event_id, correlation_id = self._read_ids(value)
        return self._headers(event_id.encode(), correlation_id.encode())

    def _headers(self, event_id: bytes, correlation_id: bytes) -> list[Pair]:
        return [
            ("event_id", event_id),
            self.type_header,
            ("correlation_id", correlation_id),
            self.content_type,
        ]


def json_frame(event_type: str, source: str, version: str) -> Frame:
    """tidings' own envelope."""
    return Frame(
        event_type,
        before_id=b'{"event_id":',
        after_id=b',"event_type":%s,"timestamp":"' % to_json(event_type),
        after_time=b'","source":%s,"version":%s,"correlation_id":' % (to_json(source), to_json(version)),
        read_ids=_read_own_ids,
        extra=_extensions,
    )


def _extensions(extra: Mapping[str, object]) -> bytes:
    if taken := _OWN & extra.keys():
        raise InvalidEvent(f"extension {min(taken)!r} has the name of one of the envelope's own fields")
    return fields(extra)


def fields(extra: Mapping[str, object]) -> bytes:
    """``,"name":value`` for each, as they are. Raises InvalidEvent."""
    return b"".join(b",%s:%s" % (to_json(str(name)), to_json(value)) for name, value in extra.items())


class _Ids(msgspec.Struct):
    event_id: str
    correlation_id: str


_join = b"".join
_decode_ids = msgspec.json.Decoder(_Ids).decode


def _read_own_ids(value: bytes) -> tuple[str, str]:
    ids = _decode_ids(value)
    return ids.event_id, ids.correlation_id


def text(value: str, name: str) -> tuple[bytes, bytes]:
    """A user's string as JSON and as raw UTF-8. Raises InvalidEvent."""
    if not isinstance(value, str):
        raise InvalidEvent(f"{name} is a {type(value).__qualname__}; it is a str")
    try:
        return encode_native(value), value.encode()
    except UnicodeEncodeError:
        raise InvalidEvent(f"{name} holds a lone surrogate, which UTF-8 cannot carry") from None
