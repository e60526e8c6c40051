"""The Outbox: what applications with SQLAlchemy hold."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack, overload

from tidings.outbox.drafting import Drafts, NewRow, Options
from tidings.outbox.table import NAME, outbox_table

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData, Table
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    from tidings.publishing.publisher import Publisher
    from tidings.settings import Settings

    Here = Session | scoped_session[Any] | Connection
    There = AsyncSession | async_scoped_session[Any] | AsyncConnection


class Outbox:
    """Adds events to the application's transaction: they are published if it is committed, and only then.

    ``publisher`` lends its settings, topic mappings and registry, and sends nothing; or give settings, or
    none: those of the environment, which need no BROKERS here. ``overrides`` are settings in lower case.
    ``table`` and ``schema`` name the table, ``metadata`` is where it is declared (default: one of its own).

    ``lock_keys``: on Postgres, transactions that add events of one topic and key wait for each other, so that
    even those that lock nothing else are published in the order of their commits; two that add two keys in
    different order can then deadlock, which Postgres finds and ends. ``notify``: on Postgres, a commit wakes
    a ``Relay(listen=True)`` at once; such commits queue up behind each other, so not for thousands a second.

    Any thread. Raises ConfigError.
    """

    def __init__(
        self,
        publisher: Publisher | Settings | None = None,
        *,
        table: str = NAME,
        schema: str | None = None,
        metadata: MetaData | None = None,
        lock_keys: bool = False,
        notify: bool = False,
        **overrides: Any,
    ) -> None:
        self.drafts = Drafts(publisher, **overrides)
        self._name = table
        self._schema = schema
        self._metadata = metadata
        self._lock_keys = lock_keys
        self._notify = notify

    @cached_property
    def table(self) -> Table:
        """The table, for migrations: ``target_metadata = [Base.metadata, outbox.table.metadata]``."""
        from sqlalchemy import MetaData  # noqa: PLC0415

        metadata = MetaData() if self._metadata is None else self._metadata
        return outbox_table(metadata, self._name, self._schema)

    def create(self, bind: Engine | Connection) -> None:
        """Create the table and its indexes where they are not there yet."""
        self.table.create(bind, checkfirst=True)

    @overload
    def add(self, session: Here, event: object, **options: Unpack[Options]) -> str: ...
    @overload
    def add(self, session: There, event: object, **options: Unpack[Options]) -> Awaitable[str]: ...
    def add(self, session: Here | There, event: object, **options: Unpack[Options]) -> str | Awaitable[str]:
        """Add an event to the transaction of a Session or Connection; its event_id, which is final.

        ``options`` are those of ``Publisher.publish``: ``event_type``, ``topic``, ``key``, ``headers``,
        ``correlation_id`` (default: the one in force here), ``event_id``, ``timestamp``. A Session is flushed
        first, so that what it changed is locked before the event gets its place. Raises PublishError, and
        nothing is inserted, when the event could not be published as it is; what the database raises ends
        the transaction as any error does. With an AsyncSession or AsyncConnection: ``await outbox.add(…)``.
        """
        row = self.drafts.row(event, **options)
        if hasattr(session, "run_sync"):
            return self._add_async(session, [row], row["event_id"])
        self._insert(session, [row])
        return row["event_id"]

    @overload
    def add_all(
        self, session: Here, events: Iterable[object], **options: Unpack[Options]
    ) -> Sequence[str]: ...
    @overload
    def add_all(
        self, session: There, events: Iterable[object], **options: Unpack[Options]
    ) -> Awaitable[Sequence[str]]: ...
    def add_all(
        self, session: Here | There, events: Iterable[object], **options: Unpack[Options]
    ) -> Sequence[str] | Awaitable[Sequence[str]]:
        """Add each of ``events``, in one statement; ``options`` hold for all of them. Their event_ids.

        All or none: raises PublishError when one of them could not be published.
        """
        rows = [self.drafts.row(event, **options) for event in events]
        ids = [row["event_id"] for row in rows]
        if hasattr(session, "run_sync"):
            return self._add_async(session, rows, ids)
        self._insert(session, rows)
        return ids

    async def _add_async(self, session: Any, rows: list[NewRow], answer: Any) -> Any:
        await session.run_sync(self._insert, rows)
        return answer

    def _insert(self, session: Any, rows: list[NewRow]) -> None:
        connection = session
        if hasattr(session, "flush"):
            session.flush()
            connection = session.connection(bind_arguments={"clause": self.table})
        if not rows:
            return
        is_postgres = connection.dialect.name == "postgresql"
        if self._lock_keys and is_postgres:
            self._lock(connection, rows)
        connection.execute(self.table.insert(), rows)
        if self._notify and is_postgres:
            self._call(connection, "pg_notify", self._name, "")

    def _lock(self, connection: Any, rows: list[NewRow]) -> None:
        for lane in sorted({row["lane"] for row in rows if row["lane"] is not None}):
            self._call(connection, "pg_advisory_xact_lock", lane)

    @staticmethod
    def _call(connection: Any, function: str, *arguments: object) -> None:
        from sqlalchemy import func, select  # noqa: PLC0415

        connection.execute(select(getattr(func, function)(*arguments)))
