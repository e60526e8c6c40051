"""Carrying the correlation id to where context variables do not go by themselves: threads and executors."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from tidings.events.correlation import current_correlation_id, set_correlation_id

P = ParamSpec("P")
R = TypeVar("R")


def carried(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` as it would run here: with the correlation id that is in force now.

        executor.submit(carried(send_invoice), order)
        threading.Thread(target=carried(work)).start()

    Tasks of asyncio, ``asyncio.to_thread``, Starlette's threads and BackgroundTasks need none of this. The
    result may be called many times, by many threads.
    """
    correlation_id = current_correlation_id()

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        before = current_correlation_id()
        set_correlation_id(correlation_id)
        try:
            return function(*args, **kwargs)
        finally:
            set_correlation_id(before)

    return run
