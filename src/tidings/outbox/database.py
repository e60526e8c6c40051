"""Connections: how a relay gets at the database, from an SQLAlchemy engine or a DSN; plain DBAPI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from tidings.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

_LACKS = {"42P01", "42703", "42501"}
"""Of Postgres: no such table, no such column, not for this user."""
_DRIVERS = {"postgresql": {"psycopg", "psycopg2"}, "sqlite": {"pysqlite"}}


@runtime_checkable
class Database(Protocol):
    """What a relay needs: connections of a known dialect, ``postgresql`` or ``sqlite``. One thread."""

    dialect: str
    errors: tuple[type[Exception], ...]
    """What the database raises when it is away or does not agree."""

    def connection(self) -> AbstractContextManager[Any]:
        """A DBAPI connection outside of any transaction; what raised inside is not used again."""

    def listener(self) -> Any:
        """A new psycopg connection, the caller's to close. Raises ConfigError where the driver is another."""

    def close(self) -> None:
        """Let go of everything that is not the application's."""


class EngineDatabase:
    """A Database over an SQLAlchemy engine, or over one made from a DSN."""

    def __init__(self, engine: Engine | URL | str) -> None:
        self._engine, self._is_own = _engine(engine)
        self.dialect = self._engine.dialect.name
        driver = self._engine.dialect.driver
        if driver not in _DRIVERS.get(self.dialect, ()):
            raise ConfigError(
                f"{self.dialect}+{driver}: a relay speaks to postgresql+psycopg, postgresql+psycopg2 and to "
                "sqlite."
            )
        self.errors = _errors(self._engine)
        if self.dialect == "sqlite" and self._engine.url.database in {None, "", ":memory:"}:
            raise ConfigError("sqlite in memory is seen by one connection alone: give the database a file.")

    @contextmanager
    def connection(self) -> Iterator[Any]:
        pooled = self._engine.raw_connection()
        try:
            yield pooled.driver_connection
        except BaseException:
            pooled.invalidate()
            raise
        finally:
            pooled.close()

    def listener(self) -> Any:
        if self._engine.dialect.driver != "psycopg":
            raise ConfigError("listen=True: only psycopg (version 3) can wait for notifications.")
        pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()
        return connection

    def close(self) -> None:
        if self._is_own:
            self._engine.dispose()


def database_of(given: Database | Engine | URL | str) -> Database:
    """The Database that was given, in whatever form. Raises ConfigError."""
    return given if isinstance(given, Database) else EngineDatabase(given)


def is_lacking(error: Exception) -> bool:
    """Whether the database says that a table or a column of it is not there, or not for this user: no outage,
    but for a person to mend."""
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)  # psycopg, psycopg2
    return code in _LACKS or (type(error).__module__ == "sqlite3" and str(error).startswith("no such "))


def _errors(engine: Engine) -> tuple[type[Exception], ...]:
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    return SQLAlchemyError, engine.dialect.loaded_dbapi.Error


def _engine(given: Engine | URL | str) -> tuple[Engine, bool]:
    from sqlalchemy import URL, Engine, create_engine, make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    if isinstance(given, Engine):
        return given, False
    if not isinstance(given, str | URL):
        raise ConfigError(f"a relay needs a DSN or an Engine, not a {type(given).__qualname__}.")
    try:
        url = make_url(given.replace("postgres://", "postgresql://", 1) if isinstance(given, str) else given)
    except (ArgumentError, ValueError):  # its text may hold the password
        raise ConfigError("The DSN cannot be read: write it like postgresql://user@host/name.") from None
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        return create_engine(url, pool_pre_ping=True), True
    except ImportError as error:
        raise ConfigError(f"The driver of {url.drivername} is not installed: {error}.") from None
