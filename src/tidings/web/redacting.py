"""Redaction: what looks like a password, a token or a cookie by its name is replaced, at any depth."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec

from tidings.events.payloads.marks import MASK

_DEEPEST: Final = 32
_TOO_DEEP = "…"
_PARTS = re.compile(
    "passw|passphrase|passcode|pwd|secret|token|apikey|accesskey|privatekey|signingkey|authoriz|cookie|credential"
    "|bearer|jwt|sessionid|cardnumber|kennwort|motdepasse|contrasena"
)
_WHOLE = frozenset({"pass", "auth", "pin", "otp", "cvv", "cvc", "cvv2", "ssn", "sid", "session", "signature"})
_NO_LETTER = re.compile(r"[\W_]+")


class Redactor:
    """Replaces the values of secret fields with ``***``. ``more`` are names of further fields. Any thread.

    Names are compared without case, accents of width, and punctuation: ``Pass-Word`` is ``password``.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._more = frozenset(_letters(name) for name in more)
        self._is_secret = lru_cache(4096)(self._looks_secret)

    def is_secret(self, name: str) -> bool:
        """Whether the value of a field of this name must not leave."""
        return self._is_secret(name) if len(name) < 256 else self._looks_secret(name)

    def value(self, value: Any, depth: int = 0) -> Any:
        """A JSON value with its secrets replaced; below 32 levels only ``…`` is left.

        A string that is a JSON object or array itself is looked into.
        """
        if isinstance(value, dict):
            if depth >= _DEEPEST:
                return _TOO_DEEP
            return {
                name: MASK if self.is_secret(str(name)) else self.value(it, depth + 1)
                for name, it in value.items()
            }
        if isinstance(value, list):
            return [self.value(it, depth + 1) for it in value] if depth < _DEEPEST else _TOO_DEEP
        if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
            return self._inner(value, depth)
        return value

    def query(self, query: str) -> str:
        """A query string, or a form, with the values of secret fields replaced, and otherwise as it was."""
        if "=" not in query:
            return query
        return "&".join(self._pair(pair) for pair in query.split("&"))

    def _pair(self, pair: str) -> str:
        name, equals, _ = pair.partition("=")
        return f"{name}={MASK}" if equals and self.is_secret(unquote_plus(name)) else pair

    def _inner(self, text: str, depth: int) -> str:
        try:
            found = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return text
        redacted = self.value(found, depth + 1)
        return text if redacted == found else msgspec.json.encode(redacted).decode()

    def _looks_secret(self, name: str) -> bool:
        letters = _letters(name)
        return letters in _WHOLE or letters in self._more or _PARTS.search(letters) is not None


def _letters(name: str) -> str:
    return _NO_LETTER.sub("", unicodedata.normalize("NFKC", name).casefold())
