"""Rows: what a relay asks of the table, in SQL that Postgres and SQLite share but for three phrases."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from tidings.errors import ConfigError
from tidings.outbox.choosing import Candidate, in_order
from tidings.outbox.database import Database, is_lacking

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", re.ASCII)
_PART = re.compile(r"{(\w+)}")
_VALUE = re.compile(r":(\w+)")
_MOST_COUNTED = 100_000
_LONGEST_ERROR = 500


class Row(msgspec.Struct, frozen=True):
    """A row that was taken."""

    id: int
    event_id: str
    topic: str
    key: bytes | None
    value: bytes | None
    headers: str
    lane: int | None
    attempts: int
    """How often it was taken before."""
    created_at: int


class Phrases(msgspec.Struct, frozen=True):
    """What differs between databases."""

    autocommit: tuple[str, object]
    """The attribute of a connection, and its value, by which transactions begin when told to."""
    read: str
    write: str
    """How a transaction begins."""
    now: str
    """Milliseconds since 1970, by a clock that all relays share; the same throughout a statement."""
    lock: str


# In READ COMMITTED a row is looked at again once it is locked. 30 s bound every wait. Statistics of a table
# that is full now and was empty then are wrong as a rule: without the rest all of 200,000 rows were sorted to
# find 500 (850 ms, now 4).
_POSTGRES = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 30000; "
    "SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off"
)
POSTGRES = Phrases(
    autocommit=("autocommit", True),
    read=_POSTGRES,
    write=_POSTGRES,
    now="CAST(extract(epoch FROM statement_timestamp()) * 1000 AS bigint)",
    lock="FOR UPDATE SKIP LOCKED",
)
SQLITE = Phrases(
    autocommit=("isolation_level", None), read="BEGIN", write="BEGIN IMMEDIATE", now=":now", lock=""
)

Run = Callable[..., Any]


class Rows:
    """The table of an outbox, as relays use it. ``clock`` gives seconds since 1970, where the database has no
    clock of its own. One thread at a time; everything raises what the driver raises."""

    def __init__(self, database: Database, table: str, clock: Callable[[], float] = time.time) -> None:
        if not _NAME.fullmatch(table):
            raise ConfigError(
                f"{table!r} is no name of a table; write it like tidings_outbox or schema.name."
            )
        self._database = database
        self._phrases = SQLITE if database.dialect == "sqlite" else POSTGRES
        self._table = ".".join(f'"{part}"' for part in table.split("."))
        self._clock = clock

    def check(self) -> None:
        """Look whether table and columns are there. Raises ConfigError where they are not."""
        try:
            with self._transaction(self._phrases.read) as run:
                run(
                    "SELECT id, event_id, topic, key, value, headers, lane, created_at, "
                    "held_until, holder, attempts, error, sent_at FROM {table} LIMIT 0"
                )
        except Exception as error:
            if not is_lacking(error):
                raise
            raise ConfigError(
                f"The table {self._table} cannot be relayed: {str(error).splitlines()[0]}. Create it by your "
                "migrations or outbox.create(engine), in Django by manage.py migrate; or name another one."
            ) from None

    # -- taking

    def candidates(self, limit: int, without: Iterable[str] = ()) -> list[Candidate]:
        """The first rows that could be taken now, but for those of some topics."""
        topics = {f"topic{number}": topic for number, topic in enumerate(without)}
        with self._transaction(self._phrases.read) as run:
            found = run(
                "SELECT id, lane, topic, coalesce(length(value), 0) FROM {table} "
                "WHERE sent_at IS NULL AND held_until <= {now} AND topic NOT IN ({topics}) "
                "AND (lane IS NULL OR lane NOT IN (SELECT lane FROM {table} "
                "WHERE held_until > 0 AND held_until > {now} AND lane IS NOT NULL)) "
                "ORDER BY id LIMIT :limit",
                topics=", ".join(f":{name}" for name in topics) or "''",
                limit=limit,
                **topics,
            )
            return [Candidate(*row) for row in found.fetchall()]

    def take(self, wanted: Sequence[Candidate], holder: str, lease: float) -> list[Row]:
        """Hold what of these can still be had in order, for ``lease`` seconds."""
        with self._transaction(self._phrases.write) as run:
            found = run(
                "SELECT id, event_id, topic, key, value, headers, lane, attempts, created_at FROM {table} "
                "WHERE id IN ({ids}) AND sent_at IS NULL AND held_until <= {now} ORDER BY id {lock}",
                ids=[each.id for each in wanted],
            )
            got = {row[0]: _row(row) for row in found.fetchall()}
            kept = in_order(wanted, got)
            if kept:
                run(
                    "UPDATE {table} SET held_until = {now} + :lease, holder = :holder, "
                    "attempts = attempts + 1 WHERE id IN ({ids})",
                    ids=kept,
                    lease=_ms(lease),
                    holder=holder,
                )
        return [got[number] for number in kept]

    # -- what a holder does with its rows; each returns how many it still held

    def renew(self, ids: Collection[int], holder: str, lease: float) -> int:
        """Hold them for ``lease`` seconds from now on."""
        return self._change("UPDATE {table} SET held_until = {now} + :lease", ids, holder, lease=_ms(lease))

    def finish(self, ids: Collection[int], holder: str, *, keep: bool) -> int:
        """Their events are where they should be: remove the rows, or ``keep`` them as sent."""
        sent = "UPDATE {table} SET held_until = 0, holder = NULL, error = NULL, sent_at = {now}"
        return self._change(sent if keep else "DELETE FROM {table}", ids, holder)

    def put_back(
        self,
        ids: Collection[int],
        holder: str,
        pause: float,
        error: str | None = None,
        *,
        untried: bool = False,
    ) -> int:
        """Let any relay take them after ``pause`` seconds; ``error`` is what a person is told.

        ``untried``: that they were taken does not count as an attempt.
        """
        told = None if error is None else error.replace("\0", "")[:_LONGEST_ERROR]
        return self._change(
            "UPDATE {table} SET held_until = {now} + :pause, holder = NULL, error = :error, "
            "attempts = attempts - :untried",
            ids,
            holder,
            pause=_ms(pause),
            error=told,
            untried=int(untried),
        )

    # -- housekeeping

    def purge(self, age: float, most: int) -> int:
        """Remove up to ``most`` rows that were sent more than ``age`` seconds ago; how many there were."""
        with self._transaction(self._phrases.write) as run:
            return _count(
                run(
                    "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} "
                    "WHERE sent_at IS NOT NULL AND sent_at <= {now} - :age LIMIT :most {lock})",
                    age=_ms(age),
                    most=most,
                )
            )

    def waiting(self) -> tuple[int, float]:
        """How many rows are unsent, 100,000 at most, and the age of the first of them in seconds."""
        with self._transaction(self._phrases.read) as run:
            (count,) = run(
                "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE sent_at IS NULL LIMIT :most) AS unsent",
                most=_MOST_COUNTED,
            ).fetchone()
            first = run(
                "SELECT {now} - created_at FROM {table} WHERE sent_at IS NULL ORDER BY id LIMIT 1"
            ).fetchone()
        return count, max(0.0, first[0] / 1000) if first else 0.0

    # -- within

    def _change(self, change: str, ids: Collection[int], holder: str, **values: object) -> int:
        with self._transaction(self._phrases.write) as run:
            return _count(
                run(f"{change} WHERE id IN ({{ids}}) AND holder = :holder", ids, holder=holder, **values)
            )

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Run]:
        """Statements that hold together; what raises ends the connection, and with it the transaction."""
        name, value = self._phrases.autocommit
        with self._database.connection() as connection:
            before = getattr(connection, name)
            setattr(connection, name, value)
            cursor = connection.cursor()
            cursor.execute(begin)
            yield lambda sql, ids=(), topics="", **values: self._run(cursor, sql, ids, topics, values)
            cursor.execute("COMMIT")
            cursor.close()
            setattr(connection, name, before)

    def _run(
        self, cursor: Any, sql: str, ids: Collection[int], topics: str, values: dict[str, object]
    ) -> Any:
        phrases = self._phrases
        parts = {"table": self._table, "now": phrases.now, "lock": phrases.lock, "topics": topics}
        parts["ids"] = ", ".join(map(str, ids))  # the database's own numbers
        sql = _PART.sub(lambda part: parts[part[1]], sql)
        if phrases is SQLITE:
            values["now"] = _ms(self._clock())
        else:
            sql = _VALUE.sub(r"%(\1)s", sql)
        if values:
            cursor.execute(sql, values)
        else:
            cursor.execute(sql)
        return cursor


def _row(found: Sequence[Any]) -> Row:
    number, event_id, topic, key, value, *rest = found
    return Row(number, event_id, topic, _bytes(key), _bytes(value), *rest)


def _bytes(found: Any) -> bytes | None:
    """Some drivers give a memoryview."""
    return None if found is None else bytes(found)


def _count(cursor: Any) -> int:
    return int(cursor.rowcount)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
