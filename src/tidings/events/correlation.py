"""The correlation id of the work under way, in a context variable."""

from __future__ import annotations

from contextvars import ContextVar

_Outer = tuple["_Outer | None", str | None]

_current: ContextVar[str | None] = ContextVar("tidings_correlation_id", default=None)
_outer: ContextVar[_Outer | None] = ContextVar("tidings_outer_correlation_ids", default=None)

current_correlation_id = _current.get
"""The correlation id in force here, or None. Safe in threads and tasks: each context has its own."""

set_correlation_id = _current.set
"""Put an id in force in this context, for good: for a consumer, whose contexts are its own."""


class correlation:  # noqa: N801 - reads as a function: with correlation("req-1"): ...
    """Give every event published in the ``with`` block this correlation id.

    Works in threads and coroutines alike (a context variable); blocks nest, and leaving one restores
    the id that was in force before it. One object may be entered by many of them at a time: what it
    restores is kept in the context, not in the object.
    """

    def __init__(self, correlation_id: str) -> None:
        self.correlation_id = correlation_id

    def __enter__(self) -> str:
        _outer.set((_outer.get(), _current.get()))
        _current.set(self.correlation_id)
        return self.correlation_id

    def __exit__(self, *exc: object) -> None:
        if (outer := _outer.get()) is not None:
            before, correlation_id = outer
            _outer.set(before)
            _current.set(correlation_id)
