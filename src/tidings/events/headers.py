"""Record headers: what a user may add, checked before anything is taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tidings.errors import InvalidEvent

HeaderValue = str | bytes | None
Headers = Mapping[str, HeaderValue] | Iterable[tuple[str, HeaderValue]]
Pair = tuple[str, bytes | None]

CONTENT_TYPE: Pair = ("content-type", b"application/json")
_OURS = frozenset({"event_id"})
_ENVELOPE = frozenset({"event_id", "event_type", "correlation_id", "content-type"})


def user_headers(headers: Headers, *, envelope: bool) -> list[Pair]:
    """A user's headers as pairs of name and bytes.

    ``envelope`` says that tidings writes an envelope, and with it four headers that a user's may not
    repeat; ``event_id`` and ``tidings-*`` are never a user's. Text may not hold control characters; bytes
    are taken as they are. Raises InvalidEvent.
    """
    reserved = _ENVELOPE if envelope else _OURS
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        return [(_name(name, reserved), _value(name, value)) for name, value in pairs]
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidEvent):
            raise
        raise InvalidEvent("headers are a mapping, or a sequence of (name, value) pairs") from None


def _name(name: object, reserved: frozenset[str]) -> str:
    if not isinstance(name, str):
        raise InvalidEvent(f"a header's name is a str, not a {type(name).__qualname__}")
    if not name or _has_control(name):
        raise InvalidEvent(f"header name {name[:80]!r} is empty or holds a control character")
    lower = name.lower()
    if lower in reserved or lower.startswith("tidings-"):
        raise InvalidEvent(f"header {name!r} is written by tidings itself")
    _utf8(name, "name")
    return name


def _value(name: str, value: object) -> bytes | None:
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, bytes):
        return bytes(value)
    if not isinstance(value, str):
        raise InvalidEvent(f"header {name!r} is a {type(value).__qualname__}; it may be str, bytes or None")
    if _has_control(value):
        raise InvalidEvent(f"header {name!r} holds a control character")
    return _utf8(value, name)


def _has_control(text: str) -> bool:
    return any(char < " " or "\x7f" <= char <= "\x9f" for char in text)


def _utf8(text: str, name: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidEvent(f"header {name!r} holds a lone surrogate, which UTF-8 cannot carry") from None
