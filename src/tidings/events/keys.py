"""Record keys: what may be one, how it is read from an event, and its bytes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any
from uuid import UUID

from tidings.errors import InvalidEvent
from tidings.events.privacy import masked_text

Key = str | bytes | int | UUID | None
KeyOf = Callable[[Any], object]


def key_reader(key: str | KeyOf, *, of_dicts: bool = False) -> KeyOf:
    """A function that reads an event's key: a field's name, a dotted path, or the user's own function.

    ``of_dicts`` says that the events are dicts; on its way a path goes through objects and dicts alike. The
    function raises InvalidEvent where the user's raises anything, or where the path leads nowhere.
    """
    if isinstance(key, str) and "." not in key and not of_dicts:
        return operator.attrgetter(key)  # a declared field is there
    read_key = _path_reader(key) if isinstance(key, str) else key

    def read(event: object) -> object:
        try:
            return read_key(event)
        except Exception as error:  # of a user's function: its text may repeat what is marked
            said = repr(error)
            shown = masked_text(said, event)
            cause = error if shown == said else None
        raise InvalidEvent(f"the key cannot be read: {shown}") from cause

    return read


def _path_reader(path: str) -> KeyOf:
    steps = path.split(".")

    def read(event: Any) -> object:
        for step in steps:
            event = event[step] if isinstance(event, dict) else getattr(event, step)
        return event

    return read


def no_key(field: str) -> InvalidEvent:
    """The error for an event whose key field is None: without a key it would lose its order in silence."""
    return InvalidEvent(
        f"the key field {field!r} is None: events of this type have a key. Fill it in, or give publish() one"
    )


def encode_key(key: object) -> bytes | None:
    """A key's bytes: str, int and UUID as UTF-8 text, bytes as they are, None for no key.

    Raises InvalidEvent for any other type: a key that only looks like one would break order in silence.
    """
    try:
        if isinstance(key, str):
            return key.encode()
        if key is None or type(key) is bytes:
            return key
        if isinstance(key, UUID) or (isinstance(key, int) and not isinstance(key, bool)):
            return str(key).encode()
    except UnicodeEncodeError:
        raise InvalidEvent("the key holds a lone surrogate, which UTF-8 cannot carry") from None
    except ValueError:  # Python writes no int of more than 4,300 digits
        raise InvalidEvent("the key is too large a number") from None
    if isinstance(key, (bytes, bytearray, memoryview)):
        return bytes(key)
    raise InvalidEvent(f"the key is a {type(key).__qualname__}; it may be str, bytes, int, UUID or None")
