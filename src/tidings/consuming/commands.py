"""Commands: what other threads have the polling thread do between two polls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from tidings.errors import ConsumeError


class Commands:
    """Any thread asks; the polling thread carries out, and refuses what is left once it ends."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._asked: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._is_over = False

    def ask(self, command: Callable[[], Any]) -> Future[Any]:
        """Have this done; its result, or a ConsumeError when polling has ended."""
        future: Future[Any] = Future()
        self._asked.append((command, future))
        self._wake()
        if self._is_over:
            self.refuse()
        return future

    def carry_out(self) -> None:
        """Do all that was asked for. On the polling thread."""
        while self._asked:
            command, future = self._asked.popleft()
            try:
                future.set_result(command())
            except BaseException as error:
                future.set_exception(error)

    def refuse(self) -> None:
        """Nobody carries anything out from now on."""
        self._is_over = True
        with suppress(IndexError):
            while True:
                self._asked.popleft()[1].set_exception(ConsumeError("The consumer is closed."))
