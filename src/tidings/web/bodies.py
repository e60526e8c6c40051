"""Bodies: the first bytes of a request's body, noted as they pass by, as an entry may hold them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tidings.events.payloads.marks import MASK
from tidings.publishing.plain import plain
from tidings.web.facts import Facts
from tidings.web.redacting import Redactor

_MOST_FIELDS = 1000
_LONGEST_TYPE = 100


class Capture:
    """Notes at most ``most`` bytes of one body. JSON and forms are read, redacted; of others only the size.

    A body that is larger, compressed, or not what it says it is, is left out with the reason: half a document
    cannot be redacted, and nothing is ever unpacked.
    """

    __slots__ = ("_encoding", "_most", "_noted", "_redactor", "_type", "size")

    def __init__(self, facts: Facts, most: int, redactor: Redactor) -> None:
        self._type = facts.headers.get("content-type", "").partition(";")[0].strip().lower()
        self._encoding = facts.headers.get("content-encoding", "").strip().lower()
        self._most = most
        self._noted = bytearray()
        self._redactor = redactor
        self.size = 0

    def feed(self, data: bytes) -> None:
        """These bytes have passed by."""
        self.size += len(data)
        if self.size <= self._most:
            self._noted += data
        else:
            self._noted.clear()

    def payload(self) -> Any:
        """What the entry says of the body: its redacted content, or why that is left out; None: no body."""
        if not self.size:
            return None
        is_form = self._type == "application/x-www-form-urlencoded"
        if self._encoding not in {"", "identity"}:
            reason = "it is compressed"
        elif self.size > self._most:
            reason = f"more than {self._most} bytes"
        elif not (is_form or self._type == "application/json" or self._type.endswith("+json")):
            reason = "neither JSON nor a form"
        else:
            reason = "it is not what its content type says"
            with suppress(msgspec.DecodeError, ValueError, RecursionError):
                if is_form:
                    return self._form(self._noted.decode())
                return self._redactor.value(msgspec.json.decode(bytes(self._noted)))
        return self.left_out(reason)

    def left_out(self, reason: str) -> dict[str, Any]:
        """What stands in place of the body."""
        return {"omitted": reason, "content_type": plain(self._type, _LONGEST_TYPE), "size": self.size}

    def _form(self, text: str) -> Any:
        if text.lstrip()[:1] in {"{", "["}:  # curl -d says of JSON that it is a form
            return self._redactor.value(msgspec.json.decode(text))
        found: dict[str, Any] = {}
        for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS):
            shown = MASK if self._redactor.is_secret(name) else self._redactor.value(value)
            field = self._redactor.text(name)
            if self._redactor.torn(field) is not None or self._redactor.torn(shown) is not None:
                raise ValueError("half of a document: the other half is in some other field")
            found[field] = [*found[field], shown] if field in found else [shown]
        return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


class WatchedStream:
    """A stream whose reads are noted; not a byte is read ahead."""

    def __init__(self, stream: Any, capture: Capture) -> None:
        self._stream = stream
        self._capture = capture

    def read(self, *size: int) -> bytes:
        return self._seen(self._stream.read(*size))

    def readline(self, *size: int) -> bytes:
        return self._seen(self._stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        return [self._seen(line) for line in self._stream.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        return (self._seen(line) for line in self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _seen(self, data: bytes) -> bytes:
        self._capture.feed(data)
        return data
