"""Secrets in text that people read: what they look like, and ``***`` in their place."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
_NAMES: Final = r"(?:pass(?:word|wd|phrase)|secret|token|api[_-]?key|private[_-]?key|credential|cookie)"
_VALUE: Final = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&"'})\]]+)"""
_PATTERNS: Final = (
    (
        re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}KEY-----|\Z)", re.S),
        MASK,
    ),
    (re.compile(r"(://)[^\s/@]{0,300}@"), rf"\g<1>{MASK}@"),
    (re.compile(r"""(?i)(authorization["']?\s{0,3}[=:]\s{0,3}["']?)[^\r\n"']+"""), rf"\g<1>{MASK}"),
    (re.compile(rf"""(?i)({_NAMES}[\w.-]{{0,40}}["']?\s{{0,3}}[=:]\s{{0,3}}){_VALUE}"""), rf"\g<1>{MASK}"),
    (re.compile(r"(?i)\b(bearer\s{1,3})[\w.~+/=-]{8,}"), rf"\g<1>{MASK}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"), MASK),
)
_SECRET_NAME: Final = re.compile(rf"(?i){_NAMES}|authorization")


def without_secrets(text: str) -> str:
    """``text`` with ``***`` for what looks like a secret: a password in a URL, ``password=…``, an
    Authorization header, a bearer token, a JWT, a private key. It knows forms, not values: what has none of
    these stays. Any thread."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def is_secret_name(name: str) -> bool:
    """True for a field whose value is not for people: ``password``, ``api_key``, ``Authorization``."""
    return _SECRET_NAME.search(name) is not None
