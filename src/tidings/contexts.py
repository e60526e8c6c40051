"""Both context managers, for what is closed by close() and aclose()."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Contexts(ABC):
    """``with`` and ``async with``: closed at the end, whatever happened. What has to be started first says so
    by an ``__enter__`` and ``__aenter__`` of its own."""

    @abstractmethod
    def close(self, timeout: float | None = None) -> object:
        """End it."""

    @abstractmethod
    async def aclose(self, timeout: float | None = None) -> object:
        """``close`` for a coroutine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()
