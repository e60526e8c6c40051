"""Driving a coroutine that has begun, inside a context of its own, without a task of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import coroutine
from typing import Any


@coroutine
def driven(work: Coroutine[Any, Any, Any], context: Context, waits_for: Any) -> Generator[Any, Any, None]:
    """Drive it to its end, as a Task would; ``waits_for`` is what it waits for now. Raises what it raises."""
    step: Callable[[Any], Any]
    while True:
        try:
            value = yield waits_for
            step = work.send
        except BaseException as error:
            step, value = work.throw, error
        try:
            waits_for = context.run(step, value)
        except StopIteration:
            return
