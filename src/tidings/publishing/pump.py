"""The pump: serves delivery reports, on its own thread in quiet times and on the publishers' in busy ones.

confluent-kafka never gives up the GIL inside produce(), and takes and drops it for each report: a poll
thread alone beside a busy publisher measured 289k events/s, publishers that lend a hand 436k.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from tidings.publishing.threads import NativeThread, native_lock, native_rlock
from tidings.publishing.transport import Transport

BUSY = 64
"""With more records out than this, publishing threads serve reports themselves, once a millisecond."""
_QUIET_POLL = 0.05
_BUSY_NAP = 0.02
_WANTED_NAP = 0.0005
_TURN_NAP = 0.002
_STUMBLE_NAP = 0.05
_LAST_REPORTS = 1.0
_PURGED = 10.0


class Pump:
    """Owns polling: one caller at a time, and nobody but the pump's own thread ever waits for that turn.

    ``tick(now)`` is called between polls, at least every 0.1 s unless a report takes longer. ``failed`` is
    told of an error that polling itself raised: the transport's own (a fatal client error), or any other,
    which is a defect that the pump survives.
    """

    def __init__(
        self, transport: Transport, tick: Callable[[float], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._transport = transport
        self._tick = tick
        self._failed = failed
        self._turn = native_rlock()
        self._lent = 0
        self._alarm = native_lock()  # held while nobody asks for the pump; releasing it ends a nap
        self._alarm.acquire()
        self._stopping = False
        self._guest_until = 0.0
        self._stumbled = False
        self._between: Callable[[], None] | None = None
        self._successor: tuple[Callable[[], Transport], Callable[[Transport], None], float] | None = None
        self._retired: Transport | None = None
        self._thread = NativeThread(self._run, "tidings-poll")

    def start(self) -> None:
        """Start the pump's thread. Raises RuntimeError when no thread can be made."""
        self._thread.start()

    def lend(self) -> None:
        """Serve reports on the calling (publishing) thread, if many are out and nobody is at it."""
        if len(self._transport) > BUSY:
            self._lent += 1
            self.serve(self._transport.poll, 0)

    def serve(self, poll: Callable[[float], object], timeout: float) -> bool:
        """Run ``poll(timeout)`` if the turn is free; False if another thread has it.

        On the main thread a signal handler may raise anywhere in here: the turn is given back all the same.
        """
        if self.is_serving:  # a signal handler that publishes, inside a report
            return False
        turn = self._turn
        try:
            if not turn.acquire(blocking=False):
                return False
        except BaseException:  # it came with the turn in hand, or without
            try:  # noqa: SIM105 - suppress() would be a call, and a chance for the next signal
                turn.release()
            except RuntimeError:
                pass
            raise
        # From here to the release nothing is called that could let a signal handler in between.
        try:
            poll(timeout)
        except Exception as error:
            if self._transport.refusal(error) is None:
                raise
            self._failed(error)
            self._stumbled = True
        finally:
            turn.release()
        return True

    def nudge(self) -> None:
        """Somebody waits for a report: look soon, even while publishers are lending a hand."""
        if self._alarm.locked():
            with contextlib.suppress(RuntimeError):  # another thread was first
                self._alarm.release()

    def between_reports(self, work: Callable[[], None]) -> None:
        """Have ``work`` done soon, at a moment when no report is under way on any thread."""
        self._between = work

    def _do_between(self) -> None:
        work = self._between
        if work is not None and self.serve(lambda _: work(), 0):
            self._between = None

    def replace(self, make: Callable[[], Transport], made: Callable[[Transport], None]) -> None:
        """Have the thread make a new transport once this one has reported on everything, or 11 s from now;
        ``made`` is told of it."""
        self._successor = make, made, time.monotonic()
        self.nudge()

    def _succeed(self) -> None:
        """After a fatal error all reports came within a second (measured); a purge brings what did not."""
        if self._successor is None:
            return
        make, made, since = self._successor
        waited = time.monotonic() - since
        if len(self._transport):
            if waited > _LAST_REPORTS:
                self._transport.purge()
            if waited < _LAST_REPORTS + _PURGED:
                return
        new = make()
        self._successor = None
        if new is not self._transport:
            if self._retired is not None:
                self._retired.close()
            self._retired, self._transport = self._transport, new
        made(new)

    def stand_back(self, seconds: float) -> None:
        """Somebody who waits for reports serves them himself for so long. Without it the pump, back in its
        turn at once, keeps a flush() from cutting linger.ms short: it waited 8 s with FLUSH_TIMEOUT=8s."""
        self._guest_until = time.monotonic() + seconds

    @property
    def is_serving(self) -> bool:
        """True inside a report, on whichever thread serves it."""
        return bool(self._turn._is_owned())

    @property
    def is_current(self) -> bool:
        """True on the pump's own thread."""
        return self._thread.is_current

    def stop(self, timeout: float) -> bool:
        """Have the thread close the transport and end; True if it did within ``timeout`` seconds."""
        self._stopping = True
        self.nudge()
        return self._thread.join(timeout)

    def _run(self) -> None:
        lent = 0
        while not self._stopping:
            try:
                self._tick(time.monotonic())
                self._do_between()
                self._succeed()
                if (
                    lent != self._lent
                ):  # publishers served themselves since the last look: keep out of the way
                    lent = self._lent
                    if self._alarm.acquire(timeout=_BUSY_NAP):
                        self._alarm.acquire(timeout=_WANTED_NAP)
                elif time.monotonic() < self._guest_until or not self.serve(
                    self._transport.poll, _QUIET_POLL
                ):
                    self._alarm.acquire(timeout=_TURN_NAP)
                if self._stumbled:
                    self._stumbled = False
                    self._alarm.acquire(timeout=_STUMBLE_NAP)
            except BaseException as error:
                self._failed(error)
                self._alarm.acquire(timeout=_STUMBLE_NAP)
        if self._retired is not None:  # a publishing thread may have been inside it: not before the end
            self._retired.close()
        self._transport.close()
