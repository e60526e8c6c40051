"""Outputs: what is published inside a consumer's handler is collected, so that its input can wait for it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidings.publishing.entry import Delivery

_collected: ContextVar[list[Delivery] | None] = ContextVar("tidings_outputs", default=None)

current_outputs = _collected.get
"""Where a Delivery is to be added, or None as a rule. Safe in threads and tasks."""


def collect_outputs() -> list[Delivery]:
    """A new list, which gets every Delivery that this context, or a copy of it, publishes from now on."""
    outputs: list[Delivery] = []
    _collected.set(outputs)
    return outputs
