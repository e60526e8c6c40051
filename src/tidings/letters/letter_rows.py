"""The letters that wait in a journal: a row for each, with a checksum."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterable, Sequence
from zlib import crc32

import msgspec

from tidings.letters.books import Change, Letters
from tidings.letters.errors import RowMissing
from tidings.letters.owed import Damage, LetterRow

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(LetterRow).decode
_BYTES = 4 << 20


def insert(con: sqlite3.Connection, letters: Sequence[LetterRow], first_row: int, change: Change) -> None:
    """Write letters, in the rows from ``first_row`` on."""
    for row, letter in enumerate(letters, first_row):
        body = _encode(letter)
        con.execute(
            "INSERT INTO letters VALUES (?, ?, ?, ?, ?)",
            (row, letter.parked, letter.event_id, body, crc32(body)),
        )
        _count(change, letter.parked, len(body), 1)


def delete(con: sqlite3.Connection, rows: Iterable[int], change: Change) -> None:
    """These letters are done with."""
    for row in rows:
        state = con.execute("SELECT parked, length(body) FROM letters WHERE row = ?", (row,)).fetchone()
        if state is not None:
            con.execute("DELETE FROM letters WHERE row = ?", (row,))
            _count(change, state[0], state[1], -1)


def park(con: sqlite3.Connection, rows: Iterable[int], change: Change) -> None:
    """These letters wait for a person."""
    for row in rows:
        size = con.execute("SELECT length(body) FROM letters WHERE row = ? AND NOT parked", (row,)).fetchone()
        if size is not None:
            con.execute("UPDATE letters SET parked = 1 WHERE row = ?", (row,))
            _count(change, False, size[0], -1)
            _count(change, True, size[0], 1)


def read(
    con: sqlite3.Connection, after: int, limit: int, parked: bool, without: Container[int], counted: Letters
) -> tuple[list[LetterRow], list[tuple[int, Damage]]]:
    """Letters with a row above ``after``, at most ``limit`` and about 4 MiB; and those that are damaged.
    Raises RowMissing when all were read and they are not as many as were counted."""
    letters: list[LetterRow] = []
    damage: list[tuple[int, Damage]] = []
    size = seen = 0
    cursor = con.execute(
        "SELECT row, event_id, body, checksum FROM letters WHERE parked = ? AND row > ? ORDER BY row",
        (parked, after),
    )
    try:
        for row, event_id, body, checksum in cursor:
            if len(letters) >= limit or size >= _BYTES:
                break
            seen += 1
            if row in without:
                continue
            if crc32(body) != checksum:
                why = "the checksum of its letter is wrong: the disk changed its bytes"
                name = None if event_id is None else str(event_id).encode()
                damage.append((row, Damage(None, None, name, 1, why, letter=True)))
                continue
            letter = _decode(body)
            letter.row, letter.parked = row, parked
            letters.append(letter)
            size += len(body)
        else:
            if after <= 0 and seen != (counted.parked if parked else counted.waiting):
                raise RowMissing
    finally:
        cursor.close()
    return letters, damage


def _count(change: Change, parked: int, size: int, times: int) -> None:
    if parked:
        change.letters.parked += times
        change.letters.parked_bytes += times * size
    else:
        change.letters.waiting += times
