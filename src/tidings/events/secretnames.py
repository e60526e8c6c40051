"""Secrets by their names: which values are not for people, however the name is written. And users in URLs."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

_PARTS: Final = re.compile(
    "passw|passphrase|passcode|pwd|secret|token|apikey|accesskey|privatekey|signingkey|authoriz|cookie|credential"
    "|bearer|jwt|sessionid|cardnumber|creditcard|debitcard|kennwort|motdepasse|contrase[nñ]a"
)
_WHOLE: Final = frozenset(
    {"pass", "auth", "pin", "otp", "cvv", "cvc", "cvv2", "ssn", "sid", "session", "signature"}
)
_NO_LETTER: Final = re.compile(r"[\W_]+")
_CAMEL: Final = re.compile("(?<=[a-z])(?=[A-Z])")
_INNOCENT: Final = re.compile(
    r"(?<![^\W\d_])(?:(?:by|com|encom|over|sur|tres|under)pass|possession|secretar(?:y|ies|ial|iat)"
    r"|(?:pre|un)?authorized)(?![^\W\d_])"
)
"""Words that hold a secret one, or the beginning of one, by accident: ``compass_width`` is no password."""
USER_IN_URL: Final = re.compile(r"(?<=://)[^\s/@]{0,300}(?=@)")
"""``user:password`` in ``https://user:password@host``."""

_LONGEST_KEPT: Final = 256
"""Names of strangers are remembered only while they are short: the memory is bounded."""


def is_secret_name(name: str) -> bool:
    """True for a name whose value is not for people: ``password``, ``apiKey``, ``Set-Cookie``. Any thread."""
    return _remembered(name) if len(name) < _LONGEST_KEPT else _is_secret(name)


def folded(name: str) -> str:
    """A name without case, width and punctuation: ``Pass-Word``, ``passWord`` and ``pass_word`` are one."""
    return _NO_LETTER.sub("", unicodedata.normalize("NFKC", name).casefold())


def _without_innocent_words(name: str) -> str:
    return _INNOCENT.sub("", _CAMEL.sub("_", unicodedata.normalize("NFKC", name)).casefold())


def _is_secret(name: str) -> bool:
    letters = folded(name)
    if letters in _WHOLE:
        return True
    if _PARTS.search(letters) is None:
        return False
    return _PARTS.search(folded(_without_innocent_words(name))) is not None


_remembered = lru_cache(4096)(_is_secret)
