"""Outputs: what is published inside a consumer's handler is collected, so that its input can wait for it."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

from tidings.states import State

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


def are_open(outputs: Iterable[Delivery], until: Literal["delivered", "stored"] = "delivered") -> bool:
    """True while one of these may yet come to Kafka and is not there; or, until ``stored``, is not safe."""
    if until == "stored":
        return any(output.state is State.ACCEPTED and not output.on_disk for output in outputs)
    return any(output.state is State.ACCEPTED or _is_stored(output) for output in outputs)


def losses(outputs: Iterable[Delivery]) -> str:
    """What became of those that will never be in Kafka; empty as a rule. For a handler's failure."""
    bad = {output.state for output in outputs} & {State.LOST, State.REJECTED}
    return f"an event that it published is {', '.join(sorted(bad))}" if bad else ""


def _is_stored(output: Delivery) -> bool:
    """True while an event that is safe on disk is not in Kafka, as far as its process can tell: it is with
    the client, or a row, and rows are told apart by how old they are at least."""
    if output.state is not State.STORED or output.partition >= 0:
        return False
    if not output.ended:
        return True
    first = output.shelf.first_row if output.shelf is not None else None
    return first is not None and first <= output.seq
