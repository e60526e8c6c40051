"""Paths: the one that was asked for, where it lies within the application, and how a URL has it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

_SAFE: Final = "/:@!$&'*+,;=~()"
_ORIGIN = re.compile("[^/]*://[^/]*")
_REPEATED = re.compile(b"%[89A-F][0-9A-F]")


def inside(path: str, root: str) -> str:
    """The path within an application under ``root``, which servers say in front of it or do not."""
    root = root.rstrip("/")
    within = path.removeprefix(root)
    return (within or "/") if root and within[:1] in {"", "/"} else path


def of_target(target: str, root: str = "") -> str:
    """The path of a request's target, which servers may have put ``root`` in front of.

    Of one in absolute form (``http://user:password@host/path``) it is what comes after the host; of one that
    has none (``*``) it is ``/``.
    """
    own = target.removeprefix(root)
    if (origin := _ORIGIN.match(own)) is not None:
        return f"{target[: -len(own)]}/{own[origin.end() + 1 :]}"
    return target if target.startswith("/") else f"/{target.partition('/')[2]}"


def in_url(path: str | bytes, *, escaped: bool = False) -> str:
    """A path as it stands in a URL: percent-encoded, unless it is ``escaped`` already. Raises nothing."""
    raw = path.encode("utf-8", "surrogatepass") if isinstance(path, str) else path
    return quote(raw, safe=f"{_SAFE}%" if escaped else _SAFE)


def of_django(text: str) -> bytes:
    """The bytes of a path that Django has decoded: what was no UTF-8 stands there percent-encoded again."""
    return _REPEATED.sub(lambda found: bytes.fromhex(found[0][1:].decode()), text.encode("utf-8", "replace"))


def of_wsgi(text: str) -> bytes:
    """The bytes of a path as PEP 3333 has it."""
    return text.encode("latin-1", "replace")
