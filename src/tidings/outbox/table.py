"""The table, for SQLAlchemy: create it by metadata, or have Alembic find it there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import MetaData, Table

NAME = "tidings_outbox"


def outbox_table(metadata: MetaData, name: str = NAME, schema: str | None = None) -> Table:
    """The table of an outbox in ``metadata``; the one that is there already, if it is.

    Times are milliseconds since 1970. A row is held while ``held_until`` is in the future; ``sent_at`` is
    null until its event is in Kafka, where a relay keeps rows at all after that; ``error`` is why it was not
    sent the last time.
    """
    from sqlalchemy import (  # noqa: PLC0415
        BigInteger,
        Column,
        Index,
        Integer,
        LargeBinary,
        String,
        Table,
        Text,
    )
    from sqlalchemy import text as sql  # noqa: PLC0415

    if (known := metadata.tables.get(f"{schema}.{name}" if schema else name)) is not None:
        return known
    held, unsent, sent = sql("held_until > 0"), sql("sent_at IS NULL"), sql("sent_at IS NOT NULL")
    return Table(
        name,
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("event_id", Text, nullable=False),
        Column("topic", String(249), nullable=False),
        Column("key", LargeBinary),
        Column("value", LargeBinary),
        Column("headers", Text, nullable=False),
        Column("lane", BigInteger),
        Column("created_at", BigInteger, nullable=False),
        Column("held_until", BigInteger, nullable=False, server_default="0"),
        Column("holder", String(100)),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("error", Text),
        Column("sent_at", BigInteger),
        Index(f"{name}_unsent", "id", postgresql_where=unsent, sqlite_where=unsent),
        Index(f"{name}_held", "lane", "held_until", postgresql_where=held, sqlite_where=held),
        Index(f"{name}_sent", "sent_at", postgresql_where=sent, sqlite_where=sent),
        schema=schema,
        sqlite_autoincrement=True,  # an id that came twice would let a late relay remove the second one's row
    )
