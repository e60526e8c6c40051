"""Redaction: what looks like a password, a token or a cookie by its name is replaced, at any depth."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote_plus, unquote_plus

import msgspec

from tidings.events.payloads.marks import MASK
from tidings.events.secretnames import USER_IN_URL, folded, is_secret_name

_DEEPEST: Final = 32
_TOO_DEEP = "…"
_ENDS: Final = re.compile("([?#&;])")
_SAFE: Final = "*&=/:,;?{}[]"
_ENCODED: Final = re.compile("%[0-9A-Fa-f]{2}")
_TORN: Final = re.compile(r"""(?<![\w.\[\]-])([\w.\[\]-]++)\\*+["']\s*+:\s*+(?!\\*+["']\*\*\*)""")
"""A name of JSON whose value is not ``"***"``; in strings of JSON there are backslashes before the quotes."""
_NAMING: Final = ("name", "key", "Name", "Key")
_NAMED: Final = frozenset({"value", "values", "Value", "Values"})


class Redactor:
    """Replaces the values of secret fields with ``***``. ``more`` are names of further fields. Any thread.

    Names are compared without case, accents of width, and punctuation: ``Pass-Word`` is ``password``.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._more = frozenset(folded(name) for name in more)

    def is_secret(self, name: str) -> bool:
        """Whether the value of a field of this name must not leave."""
        return is_secret_name(name) or (bool(self._more) and folded(name) in self._more)

    def value(self, value: Any, depth: int = 0) -> Any:
        """A JSON value with its secrets replaced; below 32 levels only ``…`` is left.

        ``{"name": "password", "value": …}`` is a field of that name. Text is looked into, as ``text`` says.
        """
        if isinstance(value, dict):
            return self._fields(value, depth + 1) if depth < _DEEPEST else _TOO_DEEP
        if isinstance(value, list):
            return [self.value(it, depth + 1) for it in value] if depth < _DEEPEST else _TOO_DEEP
        return self.text(value, depth) if isinstance(value, str) else value

    def query(self, query: str) -> str:
        """A query string with the values of secret fields replaced, and otherwise as it was.

        The values of the others are looked into, as ``text`` says.
        """
        shown = "&".join(self._pair(pair) for pair in query.split("&"))
        decoded = unquote_plus(shown)
        if (end := self.torn(decoded)) is None:
            return shown
        return quote_plus(decoded[:end] + MASK, safe=_SAFE, errors="replace")

    def torn(self, text: str) -> int | None:
        """Where in redacted text the value of a secret field of JSON still stands, which may then end
        anywhere: it is no whole JSON. None: nowhere."""
        if ":" not in text:
            return None
        return next((found.end() for found in _TORN.finditer(text) if self.is_secret(found[1])), None)

    def text(self, text: str, depth: int = 0) -> str:
        """Text with what is secret in it replaced: it may be JSON, a URL or ``name=value;name=value``,
        percent-encoded too, and so may be its parts. From where it holds half a JSON document with a secret,
        nothing is left."""
        found = self._json(text, depth)
        if found is not None:
            return found
        shown = self._loose(text, depth)
        return shown if (end := self.torn(shown)) is None else shown[:end] + MASK

    def _loose(self, text: str, depth: int) -> str:
        """Text that is no JSON."""
        if "://" in text:
            text = USER_IN_URL.sub(MASK, text)
        if "=" not in text and ("%" not in text or _ENCODED.search(text) is None):
            return text
        return (
            "".join(self._part(part, depth) for part in _ENDS.split(text)) if depth < _DEEPEST else _TOO_DEEP
        )

    def _fields(self, fields: dict[str, Any], depth: int) -> dict[str, Any]:
        told = [it for name in _NAMING if isinstance(it := fields.get(name), str) and self.is_secret(it)]
        return {
            name: MASK if self.is_secret(name) or (told and name in _NAMED) else self.value(it, depth)
            for name, it in fields.items()
        }

    def _pair(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        if not equals:
            return self._encoded(pair, 0)
        return f"{name}={MASK if self.is_secret(unquote_plus(name)) else self._encoded(value, 0)}"

    def _part(self, part: str, depth: int) -> str:
        """One of ``name=value``, with as many names as there are."""
        pieces = part.split("=")
        for number, name in enumerate(pieces[:-1], 1):
            if self.is_secret(unquote_plus(name)):
                return "=".join([*pieces[:number], MASK])
        return "=".join(
            self._encoded(it, depth) if _ENCODED.search(it) else self._json(it, depth) or it for it in pieces
        )

    def _encoded(self, text: str, depth: int) -> str:
        """Percent-encoded text: as it was where nothing in it is secret."""
        plain = unquote_plus(text)
        shown = self.text(plain, depth + 1)
        if shown == plain:
            return text
        return shown if plain == text else quote_plus(shown, safe="*")

    def _json(self, text: str, depth: int) -> str | None:
        """Text that is a JSON object or array, with its secrets replaced; None for other text."""
        if text.lstrip()[:1] not in {"{", "["}:
            return None
        try:
            found = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return None
        redacted = self.value(found, depth + 1)
        return text if redacted == found else msgspec.json.encode(redacted).decode()
