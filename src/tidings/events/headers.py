"""Record headers: what a user may add, checked before anything is taken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tidings.errors import InvalidEvent

HeaderValue = str | bytes | None
Headers = Mapping[str, HeaderValue] | Iterable[tuple[str, HeaderValue]]
Pair = tuple[str, bytes | None]

CONTENT_TYPE: Pair = ("content-type", b"application/json")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_MOST_NAMES = 4096


class HeaderCheck:
    """Turns a user's headers into pairs of name and bytes; names seen before are not looked at again.

    ``reserved`` are the names tidings writes itself, whatever their case, and so are all that begin with one
    of ``prefixes``. Text may not hold control characters; bytes are taken as they are. Any thread.
    """

    def __init__(self, reserved: frozenset[str], prefixes: frozenset[str] = frozenset({"tidings-"})) -> None:
        self._reserved = reserved
        self._prefixes = tuple(prefixes)
        self._names: set[str] = set()

    def pairs(self, headers: Headers) -> list[Pair]:
        """The pairs, in the order given. Raises InvalidEvent."""
        items = headers.items() if isinstance(headers, Mapping) else headers
        names = self._names
        try:
            return [
                (
                    name if name in names else self._checked(name),
                    value if value.__class__ is bytes else _bytes(name, value),
                )
                for name, value in items
            ]
        except (TypeError, ValueError) as error:
            if isinstance(error, InvalidEvent):
                raise
            raise InvalidEvent("headers are a mapping, or a sequence of (name, value) pairs") from None

    def _checked(self, name: object) -> str:
        if not isinstance(name, str):
            raise InvalidEvent(f"a header's name is a str, not a {type(name).__qualname__}")
        if not name or _CONTROL.search(name):
            raise InvalidEvent(f"header name {name[:80]!r} is empty or holds a control character")
        lower = name.lower()
        if lower in self._reserved or lower.startswith(self._prefixes):
            raise InvalidEvent(f"header {name!r} is written by tidings itself")
        _utf8(name, name)
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        self._names.add(name)
        return name


RAW = HeaderCheck(frozenset({"event_id"}))
"""For records that go as they are."""

ENVELOPED = HeaderCheck(
    frozenset({"event_id", "event_type", "correlation_id", "content-type"}), frozenset({"tidings-", "ce_"})
)
"""For events in an envelope: tidings writes headers of its own, CloudEvents' in that format."""


def headers_size(pairs: list[Pair]) -> int:
    """Bytes of names (counted as ASCII) and values together."""
    size = 0
    for name, value in pairs:
        size += len(name) + len(value or b"")
    return size


def _bytes(name: object, value: object) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return bytes(value)
    if not isinstance(value, str):
        raise InvalidEvent(f"header {name!r} is a {type(value).__qualname__}; it may be str, bytes or None")
    if _CONTROL.search(value):
        raise InvalidEvent(f"header {name!r} holds a control character")
    return _utf8(value, str(name))


def _utf8(text: str, name: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidEvent(f"header {name!r} holds a lone surrogate, which UTF-8 cannot carry") from None
