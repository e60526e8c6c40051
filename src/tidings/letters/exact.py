"""Bytes inside JSON, back exactly as they were: a JSON value as itself, text as text, the rest as base64."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Literal

import msgspec

EventEncoding = Literal["json", "base64"] | None
TextEncoding = Literal["text", "base64"]

_DEPTH = 200
"""Levels of nesting that a JSON value leaves free: a letter may be read far down a deep stack."""

_NULL = msgspec.Raw(b"null")


class _Holder(msgspec.Struct):
    event: msgspec.Raw


_holder = msgspec.json.Decoder(_Holder)


def embed(value: bytes | None) -> tuple[msgspec.Raw, EventEncoding]:
    """A record's value as a JSON value, and its encoding: None a tombstone."""
    if value is None:
        return _NULL, None
    if _is_one_json_value(value):
        return msgspec.Raw(value), "json"
    return msgspec.Raw(msgspec.json.encode(value)), "base64"  # msgspec writes bytes as base64


def extract(event: msgspec.Raw, encoding: EventEncoding) -> bytes | None:
    """The record's value again. Raises ValueError when the two do not fit each other."""
    if encoding == "json":
        return bytes(event)
    if encoding == "base64":
        try:
            return msgspec.json.decode(event, type=bytes)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ValueError("`event` is not base64, as `event_encoding` says") from None
    if bytes(event) != b"null":
        raise ValueError("`event` is not null, as a tombstone's is, and `event_encoding` is null")
    return None


def _is_one_json_value(value: bytes) -> bool:
    """True when every strict parser reads it, and it comes back byte for byte from inside a letter."""
    try:
        if bytes(_holder.decode(b'{"event":%b}' % value).event) != value:
            return False
        msgspec.json.decode(b"%b%b%b" % (b"[" * _DEPTH, value, b"]" * _DEPTH))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def as_text(content: bytes) -> tuple[str, TextEncoding]:
    """A key or a header's value as it is read best."""
    try:
        return content.decode(), "text"
    except UnicodeDecodeError:
        return b64encode(content).decode(), "base64"


def as_bytes(content: str, encoding: TextEncoding) -> bytes:
    """The bytes again. Raises ValueError when it is not base64."""
    return content.encode() if encoding == "text" else b64decode(content, validate=True)
