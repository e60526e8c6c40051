"""Calling one handler and waiting for its end, apart from any relay: on a thread, or on an event loop."""

from __future__ import annotations

from concurrent.futures import CancelledError
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final

from tidings.consuming.handlers import Handler
from tidings.errors import HandlerError
from tidings.events.correlation import set_correlation_id
from tidings.publishing.outputs import collect_outputs
from tidings.publishing.threads import NativeThread

if TYPE_CHECKING:
    from tidings.publishing.entry import Delivery

_GRACE: Final = 10.0
"""Seconds that an async handler may take to end once it was cancelled."""
_LEAVE: Final = 2.0


class StillRunning(Exception):
    """The handler's time is over, and it does not end."""


class Caller:
    """Calls handlers for whatever thread asks; several at a time. ``loop`` None: a loop of its own."""

    def __init__(self, loop: Any, *, needs_loop: bool) -> None:
        self._context = copy_context()
        """What handlers find in context variables: what was there at the start."""
        self._own: Any = None
        if needs_loop and loop is None:
            from tidings.consuming.ownloop import OwnLoop  # noqa: PLC0415 - asyncio costs 30 ms to import

            self._own = OwnLoop()
            self._own.start()
            loop = self._own.loop
        self._loop = loop

    def close(self) -> None:
        """End the loop, if it is our own."""
        if self._own is not None:
            self._own.stop(_LEAVE)

    def call(self, handler: Handler, argument: Any, correlation_id: str | None) -> list[Delivery]:
        """Call it and wait for its end; what it has published. Raises what it raises, and StillRunning."""
        context = self._context.copy()
        outputs = context.run(collect_outputs)
        context.run(set_correlation_id, correlation_id)
        given = [argument] if handler.is_batch else argument
        if handler.is_async:
            self._on_the_loop(handler, given, context)
        else:
            _on_a_thread(handler, given, context)
        return outputs

    def _on_the_loop(self, handler: Handler, argument: Any, context: Context) -> None:
        from asyncio import run_coroutine_threadsafe  # noqa: PLC0415

        ended = context.run(run_coroutine_threadsafe, _in_time(handler, argument), self._loop)
        try:
            ended.result(handler.timeout + _GRACE)
        except CancelledError:
            raise HandlerError("it was cancelled by what it awaited") from None
        except TimeoutError:
            if ended.done():
                raise
            ended.cancel()
            raise StillRunning(f"{handler.name} was cancelled after {handler.timeout:g} s.") from None


async def _in_time(handler: Handler, argument: Any) -> None:
    from asyncio import timeout  # noqa: PLC0415

    limit = timeout(handler.timeout)
    try:
        async with limit:
            await handler.fn(argument)
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"it took longer than {handler.timeout:g} s, and was cancelled") from None
        raise


def _on_a_thread(handler: Handler, argument: Any, context: Context) -> None:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            context.run(handler.fn, argument)
        except BaseException as error:  # a SystemExit too: what ends is the handler
            raised.append(error)

    thread = NativeThread(work, "tidings-worker")
    thread.start()
    if not thread.join(handler.timeout):
        raise StillRunning(f"{handler.name} has run for longer than {handler.timeout:g} s.")
    if raised:
        raise raised[0]
