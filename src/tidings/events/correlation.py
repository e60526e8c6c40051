"""The correlation id of the work under way, in a context variable."""

from __future__ import annotations

from contextvars import ContextVar, Token

_current: ContextVar[str | None] = ContextVar("tidings_correlation_id", default=None)

current_correlation_id = _current.get
"""The correlation id in force here, or None. Safe in threads and tasks: each context has its own."""


class correlation:  # noqa: N801 - reads as a function: with correlation("req-1"): ...
    """Give every event published in the ``with`` block this correlation id.

    Works in threads and coroutines alike (a context variable); blocks nest, and leaving one restores
    the id that was in force before it.
    """

    def __init__(self, correlation_id: str) -> None:
        self.correlation_id = correlation_id
        self._tokens: list[Token[str | None]] = []

    def __enter__(self) -> str:
        self._tokens.append(_current.set(self.correlation_id))
        return self.correlation_id

    def __exit__(self, *exc: object) -> None:
        _current.reset(self._tokens.pop())
