"""What this service announces."""

from __future__ import annotations

import msgspec

from tidings import event


@event("order.placed", topic="orders", key="order_id")
class OrderPlaced(msgspec.Struct):
    """A customer placed an order. ``total`` is in cents."""

    order_id: str
    total: int


@event("order.shipped", topic="orders", key="order_id")
class OrderShipped(msgspec.Struct):
    """An order left the house."""

    order_id: str
