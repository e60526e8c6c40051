"""Secrets in text that people read: what they look like, and ``***`` in their place."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from tidings.events.payloads.marks import MASK
from tidings.events.secretnames import USER_IN_URL, is_secret_name

_FORMS: Final = (
    (
        re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}KEY-----|\Z)", re.S),
        MASK,
    ),
    (USER_IN_URL, MASK),
    (re.compile(r"""(?i)(authorization["']?\s{0,3}[=:]\s{0,3}["']?)[^\r\n"']+"""), rf"\g<1>{MASK}"),
    (re.compile(r"(?i)\b(bearer\s{1,3})[\w.~+/=-]{8,}"), rf"\g<1>{MASK}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"), MASK),
)
_NAME: Final = re.compile(r"""(?<![\w.%\[\]-])([\w.%\[\]-]++)["']?\s{0,3}[=:]>?\s{0,3}""")
"""Possessive, and from its first letter on: text of any length is gone through once."""
_VALUE: Final = re.compile(r""""(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s,;&"'})\]]+""")
_FAULT: Final = re.compile("(?i)(?:error|exception|failed|failure|warning)$")
"""``InvalidTokenError: …``, ``TOPIC_AUTHORIZATION_FAILED: …``: what follows says what happened."""


def without_secrets(text: str) -> str:
    """``text`` with ``***`` for what looks like a secret: a password in a URL, ``password=…``, an
    Authorization header, a bearer token, a JWT, a private key. It knows forms and names, not values: what has
    none of these stays. Any thread."""
    for pattern, instead in _FORMS:
        text = pattern.sub(instead, text)
    return _without_named(text)


def _without_named(text: str) -> str:
    """``name=value`` and ``name: value`` without the value, where the name is that of a secret."""
    shown, end = [], 0
    for found in _NAME.finditer(text):
        name = unquote(found[1])
        if found.start() < end or not is_secret_name(name) or _FAULT.search(name):
            continue
        if value := _VALUE.match(text, found.end()):
            shown += [text[end : found.end()], MASK]
            end = value.end()
    return "".join([*shown, text[end:]])
