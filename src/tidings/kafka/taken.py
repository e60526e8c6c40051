"""A letter as a replay finds it, what tells it from others, and how far a partition's letters are settled."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

_OF_ONE_FAILURE = frozenset(
    {
        "failure_reason",
        "error_code",
        "certainty",
        "attempt_count",
        "first_attempt",
        "last_attempt",
        "client_id",
    }
)


class Identity(msgspec.Struct, frozen=True):
    """What tells one letter from another: a copy of it has the same, one edited by hand has not.

    A consumer that crashed between a letter and its commit writes the letter once more: the two differ in
    what they say of the failure, and are one. ``since`` (seconds since 1970, of the first attempt; 0 for a
    publisher's letter) tells them from a failure after a rewind, which is another.
    """

    key: bytes
    since: float = 0.0


class TakenLetter(msgspec.Struct, frozen=True):
    """A letter as it was found: raw, with its place."""

    place: str
    value: bytes | None
    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    partition: int
    offset: int

    @property
    def identity(self) -> Identity:
        """What tells it from other letters."""
        return identity_of(self.value)


def identity_of(letter: bytes | None) -> Identity:
    """The identity of a letter, and of what is none."""
    whole = letter or b""
    try:
        fields = msgspec.json.decode(whole, type=dict[str, msgspec.Raw])
        if bytes(fields["origin"]) != b'"consumer"':
            return Identity(_digest(whole))
        since = msgspec.json.decode(fields["first_attempt"], type=datetime).timestamp()
    except (msgspec.MsgspecError, ValueError, RecursionError, KeyError):
        return Identity(_digest(whole))
    lasting = sorted((name, bytes(it)) for name, it in fields.items() if name not in _OF_ONE_FAILURE)
    return Identity(_digest(msgspec.msgpack.encode(lasting)), since)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).hexdigest().encode()


class Progress:
    """How far a partition is settled. What is left behind holds the commit back, so that a later run with
    another filter finds it; the ledger knows what was settled above it."""

    def __init__(self) -> None:
        self.committed = -1
        self.held: int | None = None
        self.next = -1

    def settle(self, offset: int) -> None:
        """This one is done with for good."""
        self.next = max(self.next, offset + 1)

    def leave(self, offset: int) -> None:
        """A later run has to find this one."""
        self.settle(offset)
        self.held = offset if self.held is None else min(self.held, offset)

    def due(self) -> int | None:
        """The offset to commit, when there is a new one."""
        reached = self.next if self.held is None else min(self.held, self.next)
        return reached if reached > self.committed else None
