"""SIGTERM and SIGINT while a consumer runs: they ask it to finish, commit and leave."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def asked_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Have ``stop`` called at SIGTERM and SIGINT; off the main thread nothing is installed.

    A signal that was ignored stays ignored. A second SIGINT does what it did before: there must be a way out.
    Afterwards the handlers are what they were.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former: dict[int, Any] = {}

    def asked(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(number, former[number] or signal.SIG_DFL)
        stop()

    try:
        for number in _SIGNALS:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                former[number] = before
                signal.signal(number, asked)
        yield
    finally:
        for number, before in former.items():  # type: ignore[assignment]
            signal.signal(number, signal.SIG_DFL if before is None else before)
