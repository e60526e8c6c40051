"""The JSON envelope, joined around a payload that is encoded once.

``{"event_id","event_type","timestamp","source","version","correlation_id","data":{…}}``
"""

from __future__ import annotations

from tidings.errors import InvalidEvent
from tidings.events.codec import encode_native, to_json
from tidings.events.headers import CONTENT_TYPE, Pair


class Envelope:
    """What every envelope of one event type has in common, as bytes.

    Joining costs 0.26 µs where encoding a struct of the same fields costs 0.37.
    """

    __slots__ = ("_after_id", "_after_time", "_type_header")

    def __init__(self, event_type: str, source: str, version: str) -> None:
        self._after_id = b',"event_type":%s,"timestamp":"' % to_json(event_type)
        self._after_time = b'","source":%s,"version":%s,"correlation_id":' % (
            to_json(source),
            to_json(version),
        )
        self._type_header: Pair = ("event_type", event_type.encode())

    def around(
        self, data: bytes, event_id: bytes, timestamp: bytes, correlation_id: str | None
    ) -> tuple[bytes, list[Pair]]:
        """The value and the four headers of one event whose id needs no escaping."""
        quoted = b'"%s"' % event_id
        if correlation_id is None:
            correlation, correlation_header = quoted, event_id
        else:
            correlation, correlation_header = text(correlation_id, "correlation_id")
        return self._joined(quoted, event_id, timestamp, correlation, correlation_header, data)

    def around_given(
        self, data: bytes, event_id: str, timestamp: bytes, correlation_id: str | None
    ) -> tuple[bytes, list[Pair]]:
        """The same for an id that a user gave: any string."""
        quoted, raw = text(event_id, "event_id")
        correlation = (quoted, raw) if correlation_id is None else text(correlation_id, "correlation_id")
        return self._joined(quoted, raw, timestamp, *correlation, data)

    def _joined(
        self, quoted: bytes, event_id: bytes, timestamp: bytes, correlation: bytes, header: bytes, data: bytes
    ) -> tuple[bytes, list[Pair]]:
        value = b"".join(
            (
                b'{"event_id":',
                quoted,
                self._after_id,
                timestamp,
                self._after_time,
                correlation,
                b',"data":',
                data,
                b"}",
            )
        )
        return value, [("event_id", event_id), self._type_header, ("correlation_id", header), CONTENT_TYPE]


def text(value: str, name: str) -> tuple[bytes, bytes]:
    """A user's string as JSON and as raw UTF-8. Raises InvalidEvent."""
    if not isinstance(value, str):
        raise InvalidEvent(f"{name} is a {type(value).__qualname__}; it is a str")
    try:
        return encode_native(value), value.encode()
    except UnicodeEncodeError:
        raise InvalidEvent(f"{name} holds a lone surrogate, which UTF-8 cannot carry") from None
