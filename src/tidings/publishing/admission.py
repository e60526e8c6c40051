"""Admission: produce() did not take a record at once. Wait, divert it into the store, or refuse it."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from tidings.errors import EventTooLarge, InvalidEvent, PublishError, QueueFull, StoreFull, StoreUnavailable
from tidings.publishing.entry import Delivery
from tidings.publishing.transport import Fault
from tidings.states import State

if TYPE_CHECKING:
    from tidings.publishing.engine import Engine

_ROOM_POLL = 0.01
_BRIEF = 0.05
"""Waiting this long for reports to make room is cheaper than a write to disk."""
_REFUSALS: dict[str, type[PublishError]] = {
    "MSG_SIZE_TOO_LARGE": EventTooLarge,
    "_INVALID_ARG": InvalidEvent,
}
"""What produce() may refuse before it has taken the record. Any other fault the engine accounts for."""


class Admission:
    """For the threads of publishers. ``max_block`` is the default wait for room, in seconds."""

    def __init__(self, engine: Engine, max_block: float) -> None:
        self._engine = engine
        self._max_block = max_block

    def not_handed(self, entry: Delivery, error: BaseException, asked: bool, max_block: float | None) -> None:
        """produce() raised ``error``, or was not called (``asked`` False): return if the entry is accepted
        all the same, or raise.

        A signal handler may raise before the first line of this, so the caller sets ``handed`` whatever
        happens.
        """
        end: float | None = None
        while True:
            fault = self._fault_of(entry, error, asked)
            if fault.name() != "_QUEUE_FULL":
                break
            now = time.monotonic()
            if end is None:
                patience = self._patience(max_block)
                end, divert_at = now + patience, now + min(patience, _BRIEF)
            asked = False
            if now >= divert_at and self._divert(entry, error):
                return
            if now >= end:
                self._engine.ledger.cancel(entry)
                if isinstance(error, StoreFull):
                    raise error
                raise QueueFull(f"No room for an event for {entry.topic}.") from None
            try:
                if not self._make_room(end) and time.monotonic() < end:
                    time.sleep(0.001)
                asked = True
                self._produce(entry)
            except BaseException as next_error:
                error = next_error
            else:
                return
        if kind := _REFUSALS.get(fault.name()):
            self._engine.ledger.cancel(entry)
            raise kind(f"{fault.str()}.") from None
        self._engine.undelivered(entry, fault, 1)

    def _produce(self, entry: Delivery) -> None:
        headers = entry.record_headers()
        self._engine.produce(
            entry.topic, entry.value, entry.key, entry.partition, entry, None, entry.timestamp, headers
        )

    def _divert(self, entry: Delivery, error: BaseException) -> bool:
        """Put the entry into the intake, if there is a store with room."""
        engine = self._engine
        if not engine.stores or isinstance(error, StoreFull):
            return False
        try:
            engine.gate.take(entry, entry.record_headers())
        except BufferError:
            return False
        except StoreUnavailable:
            engine.ledger.cancel(entry)
            raise
        return True

    def _fault_of(self, entry: Delivery, error: BaseException, asked: bool) -> Fault:
        """The transport's own no; anything else is raised, the entry cancelled or accepted first."""
        engine, transport = self._engine, self._engine.transport
        if transport is not None and isinstance(error, StoreFull):
            return _NoRoom()
        if not asked or transport is None or isinstance(error, PublishError):
            engine.ledger.cancel(entry)
            if engine.closed:  # the pump sweeps no more, and the collector does not see entries
                engine.ledger.sweep()
            raise error
        fault = transport.refusal(error) if isinstance(error, Exception) else None
        if isinstance(error, Exception) and entry.state is State.REJECTED:  # close() gave it up meanwhile
            raise engine.closed_error() from None
        if fault is None:
            entry.handed = True
            if isinstance(error, Exception) and threading.current_thread() is not threading.main_thread():
                return _Odd(error)  # no signal handler's: produce() itself, and the keeper sends it again
            raise error  # a signal handler's, as a rule: it surfaced once produce() had returned
        return fault

    def _patience(self, max_block: float | None) -> float:
        """How long this call may wait for room: a running event loop never waits, nor who serves reports."""
        if self._engine.is_serving:
            return 0.0
        asyncio = sys.modules.get("asyncio")  # not imported: no loop is running
        if asyncio is not None and asyncio._get_running_loop() is not None:
            return 0.0
        return self._max_block if max_block is None else max_block

    def _make_room(self, end: float) -> bool:
        pump, transport = self._engine.pump, self._engine.transport
        if pump is None or transport is None:
            return False
        return pump.serve(transport.poll, max(0.0, min(_ROOM_POLL, end - time.monotonic())))


class _NoRoom:
    """The store's no, as the fault of a full queue."""

    def name(self) -> str:
        return "_QUEUE_FULL"

    def str(self) -> str:
        return "the store is full"


class _Odd:
    """An exception of produce() that is none of Kafka's, as a fault."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def name(self) -> str:
        return "UNKNOWN"

    def str(self) -> str:
        return repr(self._error)
