"""Masking texts: whatever a payload holds in marked fields becomes ``***`` where a text repeats it."""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from tidings.events.payloads.marks import MASK
from tidings.events.payloads.places import Place, plain_value
from tidings.events.payloads.walk import marked_parts, parts

_SHORTEST = 3


def masked(text: str, payload: object, place: Place) -> str:
    """``text`` without any marked value of ``payload``, as it is, in a repr or in JSON.

    Values of fewer than three characters stay: they would be found in every text.
    """
    found = {form for value, there in marked_parts(payload, place) for form in _forms_in(value, there)}
    for form in sorted(found, key=len, reverse=True):  # a value may be a part of another
        text = text.replace(form, MASK)
    return text


def _forms_in(value: Any, place: Place) -> Iterator[str]:
    """All that a text may repeat of a marked value, and of what is inside."""
    todo, seen = [(value, place)], set[int]()
    while todo:
        value, place = todo.pop()
        if (inner := parts(value, place)) is None:
            yield from _forms(plain_value(value))
        elif id(value) not in seen:
            seen.add(id(value))
            todo += [(each, there) for _, each, there in inner]
            if isinstance(value, Mapping):
                for key in value:
                    yield from _forms(plain_value(key))


def _forms(leaf: Any) -> Iterator[str]:
    from json import dumps  # noqa: PLC0415 - 2 ms of `import tidings`, and errors are rare

    if leaf is None or isinstance(leaf, bool):
        return
    if isinstance(leaf, (bytes, bytearray)):
        texts = [
            bytes(leaf).decode(errors="replace"),
            repr(bytes(leaf))[2:-1],
            binascii.b2a_base64(leaf, newline=False).decode(),
        ]
    else:
        texts = [str(leaf), leaf.isoformat() if hasattr(leaf, "isoformat") else ""]
    for text in texts:
        for form in (text, repr(text)[1:-1], dumps(text)[1:-1]):
            if len(form) >= _SHORTEST:
                yield form
