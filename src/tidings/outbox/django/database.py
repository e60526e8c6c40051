"""Connections of Django, for a relay: ``Relay(DjangoDatabase())`` needs no SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connections

from tidings.errors import ConfigError


class DjangoDatabase:
    """A database of DATABASES. Each thread has a connection of its own, as always in Django.

    Raises ConfigError unless it is there, and is Postgres or SQLite.
    """

    def __init__(self, using: str = DEFAULT_DB_ALIAS) -> None:
        if using not in connections:
            raise ConfigError(f"DATABASES has no {using!r}; it has {', '.join(sorted(connections))}.")
        connection = connections[using]
        if connection.vendor not in {"postgresql", "sqlite"}:
            raise ConfigError(
                f"{using!r} is {connection.vendor}: a relay speaks to postgresql and to sqlite."
            )
        self._using = using
        self.dialect: str = connection.vendor
        self.errors: tuple[type[Exception], ...] = (Error, connection.Database.Error)

    @contextmanager
    def connection(self) -> Iterator[Any]:
        connection = connections[self._using]
        connection.ensure_connection()
        try:
            yield connection.connection
        except BaseException:
            connection.close()
            raise

    def listener(self) -> Any:
        connection = connections[self._using]
        made = connection.get_new_connection(connection.get_connection_params())
        if not hasattr(made, "notifies") or not callable(made.notifies):
            made.close()
            raise ConfigError("listen: only psycopg (version 3) can wait for notifications.")
        return made

    def close(self) -> None:
        connections[self._using].close()
