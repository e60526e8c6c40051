"""Events of a registry of their own, for tests of publishing."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pydantic

from tidings import Registry

registry = Registry()


@registry.event("order.placed", topic="orders", key="order_id", version="2.1")
class OrderPlaced(msgspec.Struct):
    order_id: str
    total: int = 0


@registry.event("order.noted", key=lambda note: note.key)
class OrderNoted(msgspec.Struct):
    key: Any = None
    text: Any = ""


@registry.event("user.created", topic="users", key="user.id")
@dataclasses.dataclass
class UserCreated:
    user: Any
    score: float = 0.0


@registry.event("user.renamed")
class UserRenamed(pydantic.BaseModel):
    name: str
    score: float = 0.0


def unreadable_key(_: object) -> object:
    """A key function with a bug."""
    raise LookupError("no key here")


@registry.event("broken.key", key=unreadable_key)
class BrokenKey(msgspec.Struct):
    n: int = 0
