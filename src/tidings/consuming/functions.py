"""What kind of function a handler is: plain or async; and that what it returns is not still to be run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from typing import Any

from tidings.consuming.verdicts import Reject
from tidings.errors import ConfigError
from tidings.publishing.batch import Batch
from tidings.publishing.entry import Delivery


def behind(fn: Any) -> Any:
    """The function behind partials, wrappers, methods and callable objects."""
    while (inner := inspect.unwrap(_whole(fn))) is not fn:
        fn = inner
    if not (inspect.isroutine(fn) or isinstance(fn, type)):
        fn = vars(type(fn)).get("__call__", fn)
    return getattr(fn, "__func__", fn)


def called(thing: object) -> str:
    """What it is called in messages."""
    plain = behind(thing) if callable(thing) else thing
    return f"{plain.__module__}.{plain.__qualname__}" if hasattr(plain, "__qualname__") else repr(thing)[:80]


def watched(fn: Callable[[Any], Any], name: str) -> tuple[Callable[[Any], Any], bool]:
    """The function with a look at what it returns, and whether it is async. Raises ConfigError.

    A coroutine that nobody awaits, or a generator that nobody goes through, is a body that never runs: its
    event would count as handled. So it raises Reject instead. 22 ns a call, 73 for an async one.
    """
    itself = (_whole(fn), type(_whole(fn)).__call__)
    if any(inspect.isgeneratorfunction(it) or inspect.isasyncgenfunction(it) for it in itself):
        raise ConfigError(f"{name} is a generator, whose body no call runs: take the yield out of it.")
    if any(map(_is_async, itself)):
        return _watched_async(fn), True
    if _is_async(behind(fn)):
        return _watched_async(_passed_on(fn)), True

    def call(argument: Any) -> None:
        if (result := fn(argument)) is not None:
            _refuse_unrun(result)

    return call, False


def _watched_async(fn: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Any]:
    async def call(argument: Any) -> None:
        if (result := await fn(argument)) is not None:
            _refuse_unrun(result)

    return call


def _passed_on(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """For a plain wrapper (``functools.wraps``) around an async function, which it calls, as a rule, without
    awaiting it: a context manager as a decorator does so."""

    async def call(argument: Any) -> Any:
        result = fn(argument)
        return await result if inspect.isawaitable(result) else result

    return call


def _refuse_unrun(result: object) -> None:
    if isinstance(result, (Generator, AsyncGenerator)):
        words = "a generator, whose body has not run: take the yield out of it, or go through it"
    elif isinstance(result, Awaitable) and not _runs_by_itself(result):
        words = f"a {type(result).__name__}, which nobody awaits: declare it async def, and await that in it"
    else:
        return
    if isinstance(result, (Coroutine, Generator)):
        result.close()
    raise Reject(f"it returned {words}")


def _runs_by_itself(result: object) -> bool:
    """What a handler has published is waited for anyway; a task or a future is on its way."""
    return isinstance(result, (Delivery, Batch)) or hasattr(result, "_asyncio_future_blocking")


def _is_async(fn: object) -> bool:
    # The second is how asyncio marked functions before inspect.markcoroutinefunction, of Python 3.12.
    return inspect.iscoroutinefunction(fn) or bool(getattr(fn, "_is_coroutine", False))


def _whole(fn: Any) -> Any:
    """The function that a partial completes."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn
