"""The service: it writes an order and its event in one transaction, and knows nothing of Kafka."""

from __future__ import annotations

import msgspec
from sqlalchemy import Engine, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tidings import event
from tidings.outbox import Outbox, outbox_table

TOPIC = "orders"


class Base(DeclarativeBase):
    """Orders, and the outbox beside them: ``Base.metadata.create_all``, or Alembic, makes both tables."""


class Account(Base):
    """A customer's account."""

    __tablename__ = "accounts"

    customer: Mapped[str] = mapped_column(primary_key=True)
    orders: Mapped[int] = mapped_column(default=0)


outbox_table(Base.metadata)
outbox = Outbox(metadata=Base.metadata, enabled=False, service="shop")


@event("order.placed", topic=TOPIC, key="customer")
class OrderPlaced(msgspec.Struct):
    """A customer's ``number``-th order."""

    customer: str
    number: int


class PaymentRefused(Exception):
    """Nothing of the order may remain."""


def place_order(engine: Engine, customer: str, *, pays: bool) -> str:
    """Count the order and add its event; the event's id. Raises PaymentRefused, and then neither was."""
    with Session(engine) as session, session.begin():
        # Change first, add afterwards: whoever adds has the lock on the account.
        mine = update(Account).where(Account.customer == customer)
        number = session.scalars(mine.values(orders=Account.orders + 1).returning(Account.orders)).one()
        event_id = outbox.add(session, OrderPlaced(customer, number))
        if not pays:
            raise PaymentRefused(event_id)
    return event_id
