"""Closing an engine: bounded, whatever Kafka does, with every entry answered for at the end."""

from __future__ import annotations

import atexit
import os
import sys
import time
from typing import Any

from tidings.publishing.engine import Engine
from tidings.publishing.threads import native_rlock
from tidings.signals import Closed
from tidings.states import CloseReport, Terms

_HAND_OVER = 1.0
"""Seconds for publishing threads that are between arrival and the end of produce()."""
_PURGE = 1.0
_JOIN = 0.5
_SECURE = 0.5
_BEYOND = 2.5
_NAP = 0.002


class Closer:
    """Closes one engine, once: by the user, by a signal handler, or at the exit of a process that forgot.

    ``timeout`` seconds go to delivering what is in flight; then the rest is purged and counted. In all it
    takes at most ``timeout`` + 3 s. No thread is started here: at interpreter exit none can be.
    """

    def __init__(self, engine: Engine, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout
        self._turn = native_rlock()
        self._report: CloseReport | None = None
        self._stopped = False
        self._watching = False
        self._finalizer: Any = None
        self._pid = os.getpid()

    def watch_exit(self) -> None:
        """Close at the exit of this process, also of a multiprocessing child, where atexit does not run."""
        if self._watching:
            return
        self._watching = True
        atexit.register(self._at_exit)
        if util := sys.modules.get("multiprocessing.util"):
            self._finalizer = util.Finalize(None, self._at_exit, exitpriority=100)
        if signals := sys.modules.get("celery.signals"):
            signals.worker_process_shutdown.connect(self._at_exit, weak=False)

    def forget_exit(self) -> None:
        """The exit of this process is no longer this closer's business: closed, or a fork's child."""
        atexit.unregister(self._at_exit)
        if self._finalizer is not None:
            self._finalizer.cancel()
        if signals := sys.modules.get("celery.signals"):
            signals.worker_process_shutdown.disconnect(self._at_exit)

    def _at_exit(self, **_: object) -> None:
        if os.getpid() != self._pid:  # a fork's child leaves its parent's engine alone
            return
        end = time.monotonic() + self._timeout
        while True:
            left = max(end - time.monotonic(), 0.0)
            try:
                self.close(left)
                return
            except BaseException:  # a signal handler's; nobody closes after this, so go on
                if not left:
                    raise

    def close(self, timeout: float | None) -> CloseReport:
        """Close and report. A second call returns the same report; see ``Publisher.close``."""
        engine = self._engine
        budget = self._timeout if timeout is None else max(timeout, 0.0)
        engine.shut()
        if self._report is not None:
            return self._report
        if self._turn._is_owned() or engine.is_engine_at_work:
            # In a signal handler inside close() or inside a report, in a callback or on an engine thread:
            # whoever closes from outside, or the exit of the process, does the rest.
            return self._terms(0.0)
        with self._turn:
            if self._report is None:
                started = time.monotonic()
                self._end(started, budget)
                self._report = self._last_terms(started)
                self.forget_exit()
        return self._report

    def _end(self, started: float, timeout: float) -> None:
        engine = self._engine
        self._wait_for_hand_overs()
        pump, transport = engine.pump, engine.transport
        if pump is not None and transport is not None:
            if not self._stopped:  # else a close() before this one got so far, and was interrupted
                if engine.stores:
                    engine.keeper.secure(_SECURE)
                self._deliver(started + timeout)
                transport = engine.transport or transport
                engine.keeper.rest()
                if len(transport):
                    transport.purge()
                end = time.monotonic() + _PURGE
                while len(transport) and engine.failure is None and (left := end - time.monotonic()) > 0:
                    engine.attend(left)
            self._stopped = True
            if not pump.stop(_JOIN):
                engine.logger.warning("the poll thread did not end in time; it is left behind")
            # A full queue is 100,000 rows to write: what is left of the 3 s is the keeper's.
            if not engine.keeper.stop(max(_JOIN, started + timeout + _BEYOND - time.monotonic())):
                engine.logger.warning("the keeper did not end in time; it is left behind")
        for entry in engine.ledger.open_entries():
            engine.abandon(entry)
        engine.tell_unwoken()
        engine.storms.flush()
        engine.signals.send(Closed(self._terms(time.monotonic() - started)))
        engine.waking.stop(_JOIN)
        engine.waking.complaints.flush()

    def _deliver(self, end: float) -> None:
        """Serve reports until nothing is on its way, and nothing of the store could be."""
        engine = self._engine
        while engine.failure is None and (left := end - time.monotonic()) > 0:
            if engine.transport is not None and len(engine.transport):
                engine.attend(left)
            elif engine.keeper.has_work or any(entry.handed for entry in engine.ledger.open_entries()):
                engine.keeper.wake()
                engine.attend(min(left, _NAP))
            else:
                return

    def _wait_for_hand_overs(self) -> None:
        end = time.monotonic() + _HAND_OVER
        pending = self._engine.ledger.open_entries()
        while pending := [entry for entry in pending if not (entry.handed or entry.ended)]:
            if time.monotonic() >= end:
                return
            time.sleep(_NAP)

    def _last_terms(self, started: float) -> CloseReport:
        """How all of it ended. What is in flight now are events that other threads are refused just now: they
        arrive, and are taken back."""
        end = time.monotonic() + _HAND_OVER
        while (terms := self._terms(time.monotonic() - started)).in_flight and time.monotonic() < end:
            time.sleep(_NAP)
        return terms

    def _terms(self, duration: float) -> CloseReport:
        stats = self._engine.stats()
        return CloseReport(
            **{name: getattr(stats, name) for name in Terms.__struct_fields__}, duration=duration
        )
