"""The JSON envelope, joined around a payload that is encoded once.

``{"event_id","event_type","timestamp","source","version","correlation_id","data":{…}}``
"""

from __future__ import annotations

import msgspec

from tidings.errors import InvalidEvent
from tidings.events.codec import encode_native, to_json
from tidings.events.headers import CONTENT_TYPE, Pair


class Envelope:
    """What every envelope of one event type has in common, as bytes.

    Joining costs 0.26 µs where encoding a struct of the same fields costs 0.37.
    """

    __slots__ = ("after_id", "after_time", "type_header")

    def __init__(self, event_type: str, source: str, version: str) -> None:
        self.after_id = b',"event_type":%s,"timestamp":"' % to_json(event_type)
        self.after_time = b'","source":%s,"version":%s,"correlation_id":' % (
            to_json(source),
            to_json(version),
        )
        self.type_header: Pair = ("event_type", event_type.encode())

    def around(
        self,
        data: bytes,
        event_id: bytes,
        timestamp: bytes,
        correlation_id: str | None,
        quoted: bytes | None = None,
    ) -> tuple[bytes, list[Pair]]:
        """The value and the four headers of one event; ``quoted`` is its id in JSON, where not as it is."""
        if quoted is None:
            quoted = b'"%s"' % event_id
        if correlation_id is None:
            correlation, header = quoted, event_id
        else:
            correlation, header = text(correlation_id, "correlation_id")
        value = _join(
            (
                b'{"event_id":',
                quoted,
                self.after_id,
                timestamp,
                self.after_time,
                correlation,
                b',"data":',
                data,
                b"}",
            )
        )
        return value, [("event_id", event_id), self.type_header, ("correlation_id", header), CONTENT_TYPE]

    def around_given(
        self, data: bytes, event_id: str, timestamp: bytes, correlation_id: str | None
    ) -> tuple[bytes, list[Pair]]:
        """The same for an id that a user gave: any string."""
        quoted, raw = text(event_id, "event_id")
        return self.around(
            data, raw, timestamp, event_id if correlation_id is None else correlation_id, quoted
        )

    def headers_of(self, value: bytes) -> list[Pair]:
        """The four headers again, from the value they went with: nobody has to keep them."""
        ids = _read_ids(value)
        return [
            ("event_id", ids.event_id.encode()),
            self.type_header,
            ("correlation_id", ids.correlation_id.encode()),
            CONTENT_TYPE,
        ]


class _Ids(msgspec.Struct):
    event_id: str
    correlation_id: str


_join = b"".join
_read_ids = msgspec.json.Decoder(_Ids).decode


def text(value: str, name: str) -> tuple[bytes, bytes]:
    """A user's string as JSON and as raw UTF-8. Raises InvalidEvent."""
    if not isinstance(value, str):
        raise InvalidEvent(f"{name} is a {type(value).__qualname__}; it is a str")
    try:
        return encode_native(value), value.encode()
    except UnicodeEncodeError:
        raise InvalidEvent(f"{name} holds a lone surrogate, which UTF-8 cannot carry") from None
