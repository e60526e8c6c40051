"""Marks on fields: what is Secret stays in the process, what is Personal is masked where people read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import msgspec

from tidings.errors import ConfigError

MASK: Final = "***"
"""What people read in place of a marked value."""

ABSENT: Final = object()
"""In place of a value that the wire does not carry."""

OnWire = Literal["hash", "drop", "last4"] | Callable[[Any], object]


class Secret(msgspec.Struct, frozen=True):
    """``password: Annotated[str, Secret]``: never on the wire, nor in a repr, an error or a log.

    Who reads the event gets the field's default; without one, None where the type allows it, else an empty
    str or bytes. In a list, a set or a mapping such values are left out. What the class computes of it itself
    (a computed field, a key function) is not hidden.
    """


class Personal(msgspec.Struct, frozen=True):
    """``email: Annotated[str, Personal]``: whole on the wire, ``***`` in reprs, reasons, errors, audits.

    ``on_wire`` says what the wire carries instead:

    - ``"hash"``: the SHA-256 of the UTF-8 text, in hex. Equal values stay equal, and who can guess a value
      can prove the guess: a pseudonym, not anonymous. For a keyed hash give a function that makes an HMAC.
    - ``"last4"``: every character but the last four becomes ``*``; text of up to four stays readable.
    - ``"drop"``: nothing, as for Secret.
    - a function: what it returns for the value in its JSON form (times stay datetime and timedelta).

    None stays None. Raises ConfigError for any other ``on_wire``.
    """

    on_wire: OnWire | None = None

    def __post_init__(self) -> None:
        if not (self.on_wire in (None, *_TEXT, "drop") or callable(self.on_wire)):
            raise ConfigError(
                f"Personal(on_wire={self.on_wire!r}) is not 'hash', 'last4', 'drop' or a function"
            )


Mark = Secret | Personal


def mark_in(metadata: Iterable[object]) -> Mark | None:
    """The mark among what an ``Annotated`` says, class or instance."""
    found = None
    for each in metadata:
        mark = each() if isinstance(each, type) and issubclass(each, (Secret, Personal)) else each
        if isinstance(mark, (Secret, Personal)):
            found = stronger(found, mark)
    return found


def stronger(one: Mark | None, other: Mark | None) -> Mark | None:
    """Of two marks on one place, the one that shows less."""
    return max(one, other, key=_strength)


def leaves_out(mark: Mark | None) -> bool:
    """True where nothing of the value goes on the wire."""
    return isinstance(mark, Secret) or (mark is not None and mark.on_wire == "drop")


def changes_wire(mark: Mark) -> bool:
    """True where the wire has anything but the value itself."""
    return mark != Personal()


def on_wire(mark: Mark, value: Any) -> object:
    """What the wire carries in place of ``value``, given in its JSON form; ABSENT for nothing.

    Raises TypeError where a text is needed and ``value`` is none, and whatever a user's function raises.
    """
    if leaves_out(mark):
        return ABSENT
    how = mark.on_wire if isinstance(mark, Personal) else None
    if value is None or how is None:
        return value
    if callable(how):
        return how(value)
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__qualname__} is no text")
    return _TEXT[how](value)


def _hash(text: str) -> str:
    import hashlib  # noqa: PLC0415 - 2 ms of `import tidings`, and few events have a hash

    return hashlib.sha256(text.encode()).hexdigest()


def _last4(text: str) -> str:
    return "*" * (len(text) - 4) + text[-4:]


_TEXT: Final[dict[str, Callable[[str], str]]] = {"hash": _hash, "last4": _last4}


def _strength(mark: Mark | None) -> int:
    if mark is None:
        return 0
    return 3 if leaves_out(mark) else 1 + (isinstance(mark, Personal) and mark.on_wire is not None)
