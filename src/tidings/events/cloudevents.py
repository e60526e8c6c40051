"""CloudEvents 1.0 on Kafka: the structured and the binary form (CloudEvents Kafka Protocol Binding 1.0.2).

``version`` (the schema version) and the ids of the Correlation extension, ``correlationid`` and
``causationid``, travel as extension attributes. The record's key is the key as declared, in both forms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from tidings.errors import InvalidEvent
from tidings.events.codec import to_json
from tidings.events.frame import Frame, fields, text
from tidings.events.headers import CONTENT_TYPE, Pair

STRUCTURED: Final = "application/cloudevents+json"
ATTRIBUTES: Final = {"causation_id": "causationid"}
"""Fields of the envelope that have another name among the attributes, beside those of every event."""

_STRUCTURED_HEADER: Final[Pair] = ("content-type", STRUCTURED.encode() + b"; charset=UTF-8")
_NAME = re.compile("[a-z0-9]+")
_OWN = frozenset(
    (
        "specversion",
        "id",
        "type",
        "source",
        "time",
        "datacontenttype",
        "version",
        "correlationid",
        "data",
    )
)


def structured_frame(event_type: str, source: str, version: str) -> Frame:
    """The whole event as one JSON object; the headers are those of the ``json`` format, and no ``ce_*``."""
    return Frame(
        event_type,
        before_id=b'{"specversion":"1.0","id":',
        after_id=b',"type":%s,"time":"' % to_json(event_type),
        after_time=b'","source":%s,"datacontenttype":"application/json","version":%s,"correlationid":'
        % (to_json(_uri(source)), to_json(version)),
        content_type=_STRUCTURED_HEADER,
        read_ids=_read_ids,
        extra=lambda extra: fields(_attributes(extra)),
    )


class BinaryFrame:
    """The value is the data itself; the attributes are ``ce_*`` headers. Immutable: any thread."""

    def __init__(self, event_type: str, source: str, version: str) -> None:
        self._before_time: list[Pair] = [
            ("ce_specversion", b"1.0"),
            ("ce_type", event_type.encode()),
            ("ce_source", _uri(source).encode()),
            ("ce_version", version.encode()),
            CONTENT_TYPE,
        ]

    def around(
        self,
        data: bytes,
        event_id: bytes,
        timestamp: bytes,
        correlation_id: str | None,
        quoted: bytes | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> tuple[bytes, list[Pair]]:
        """The data and the headers, the ``event_id`` of every record among them."""
        correlation = event_id if correlation_id is None else text(correlation_id, "correlation_id")[1]
        pairs: list[Pair] = [
            ("event_id", event_id),
            ("ce_id", event_id),
            ("ce_time", timestamp),
            ("ce_correlationid", correlation),
            *self._before_time,
        ]
        for name, value in _attributes(extra or {}).items():
            pairs.append((f"ce_{name}", _attribute_text(value)))
        return data, pairs


class _Ids(msgspec.Struct):
    id: str
    correlationid: str


_decode_ids = msgspec.json.Decoder(_Ids).decode


def _read_ids(value: bytes) -> tuple[str, str]:
    ids = _decode_ids(value)
    return ids.id, ids.correlationid


def _uri(source: str) -> str:
    """A service's name as the URI reference that ``source`` has to be."""
    return quote(source, safe="!#$%&'()*+,/:;=?@[]~-._") or "/"


def _attributes(extra: Mapping[str, object]) -> dict[str, object]:
    """``extra`` by the names of attributes. Raises InvalidEvent for what CloudEvents does not take."""
    attributes = {ATTRIBUTES.get(name, name): value for name, value in extra.items()}
    for name, value in attributes.items():
        if not _NAME.fullmatch(name) or name in _OWN:
            raise InvalidEvent(
                f"extension {name!r}: CloudEvents takes names of a-z and 0-9, and none of its own"
            )
        if not isinstance(value, (str, bool, int)):
            raise InvalidEvent(
                f"extension {name!r} is a {type(value).__qualname__}; CloudEvents takes text, "
                "whole numbers and booleans"
            )
    return attributes


def _attribute_text(value: object) -> bytes:
    if isinstance(value, str):
        return text(value, "an extension")[1]
    return str(value).lower().encode()
