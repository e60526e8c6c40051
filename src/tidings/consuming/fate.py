"""What becomes of events whose handlers failed, or whose outputs are still on their way."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from tidings.consuming.course import Step
from tidings.consuming.dedup import Elsewhere
from tidings.consuming.failing import Failing
from tidings.consuming.holdings import Holdings
from tidings.consuming.letters import Letters, NewLetter
from tidings.consuming.message import Message, Record, event_id_of, place_of
from tidings.consuming.outage import PROBE_LIMIT
from tidings.consuming.places import Chunk, Lane, lane_key
from tidings.consuming.reading import Route, Shut, Unread
from tidings.consuming.retries import Decision, GiveUp, Halt, Hold, Wait
from tidings.consuming.tally import Tally
from tidings.consuming.verdicts import Reject
from tidings.errors import HandlerError
from tidings.events.correlation import current_correlation_id
from tidings.events.privacy import masked_text
from tidings.publishing.entry import Delivery
from tidings.publishing.outputs import are_open, losses

UNDECODABLE: Final = "KAFKA_UNDECODABLE"
REJECTED: Final = "KAFKA_REJECTED"
"""Error codes of letters."""
_HANDLER_FAILED = "KAFKA_HANDLER_FAILED"
_CRASHED = "KAFKA_HANDLER_CRASHED"
_ELSEWHERE = 0.05


class Awaited(msgspec.Struct, eq=False):
    """A call's records, handled, whose outputs are on their way; which are whose nobody knows."""

    chunk: Chunk
    records: Sequence[Record]
    route: Route
    outputs: list[Delivery]


class Fate:
    """Decides about failures, and keeps what waits for Kafka. Any thread; ``sweep`` on the polling one."""

    def __init__(
        self,
        holdings: Holdings,
        tally: Tally,
        letters: Letters,
        halt: Callable[[str], None],
        stumbled: Callable[[BaseException], None],
        logger: logging.Logger,
        *,
        pauses: bool,
    ) -> None:
        self.tally = tally
        self.shut: list[Route] = []
        """Handlers that are not called, because what is behind them is away."""
        self._pauses = pauses
        self._holdings = holdings
        self._letters = letters
        self._halt = halt
        self.stumbled = stumbled
        """Told of what a worker must not raise: the consumer ends, and what is not finished is read again."""
        self.logger = logger
        self.failing = Failing(logger)
        self._awaited: deque[Awaited] = deque()
        self._counting = threading.Lock()

    def decide(
        self, route: Route | None, argument: Any, record: Record, error: BaseException, attempt: int
    ) -> Decision:
        """What now; said in the log. ``route`` is None for a record that could not be decoded."""
        if route is None:
            with self._counting:
                self.tally.undecodable += isinstance(error, Unread)
                self.tally.failed += not isinstance(error, Unread)
            return GiveUp()
        decision = route.handler.policy.decide(error, attempt, random.random)
        with self._counting:
            self.tally.failed += not isinstance(decision, Halt)
        name, place = route.handler.name, place_of(record)
        if isinstance(decision, Halt):
            self.logger.warning(f"{name} stops the consumer at {place}, which stays unfinished.")
            self._halt(f"{name} raised Stop at {place}")
        else:
            self.failing.record(
                route.handler,
                f"failed at {place}, attempt {attempt}: {reason_of(error, argument)}",
                topic=record.topic(),
                event_id=event_id_of(record),
                correlation_id=current_correlation_id(),
                attempt=attempt,
                error=type(error).__qualname__,
                code=_HANDLER_FAILED,
            )
        return decision

    def failed(self, lane: Lane, route: Route | None, argument: Any, error: BaseException) -> Decision:
        """What becomes of the first record of a lane, whose handler failed; given up, it is suspended."""
        if isinstance(error, Shut):
            return Hold()
        if isinstance(error, Elsewhere):
            return Wait(_ELSEWHERE)
        chunk, record = lane.queue[0]
        if not lane.first_ms:
            lane.first_ms = time.time_ns() // 1_000_000
        decision = self.decide(route, argument, record, error, lane.attempt)
        if route is not None and self._pauses and not isinstance(decision, Halt):
            decision = self._or_hold(decision, lane, route, record, error)
        if isinstance(decision, GiveUp):
            self._holdings.suspend(chunk, record.offset())
            self.give_up(chunk, record, route, argument, error, lane.attempt, lane.first_ms)
        return decision

    def _or_hold(
        self, decision: Decision, lane: Lane, route: Route, record: Record, error: BaseException
    ) -> Decision:
        """The decision, unless what is behind the handler is away."""
        now, outage = time.monotonic(), route.outage
        if isinstance(error, Reject):
            return decision
        what = f"{type(error).__qualname__} {raised_at(error)}"
        with self._counting:
            if lane.is_probe:
                outage.probed_in_vain(now)
                lane.attempt += 1
                return Hold()
            outage.failed(now, lane_key(record), what, route.successes)
            if not route.is_shut:
                if not isinstance(decision, GiveUp) or not outage.is_on(now, what, route.successes):
                    return decision
                route.is_shut = True
                outage.begin(now)
                self.shut.append(route)
                self.logger.error(
                    f"{route.handler.name} fails with every key: {what}. Its events wait, and one is tried "
                    "now and then (ON_OUTAGE=pause). Look at what it calls."
                )
        return Hold()

    def batch_failed(self, step: Step, error: BaseException) -> None:
        """A batch failed, and is taken one by one; which of its keys is to blame nobody knows."""
        if step.route is None:
            return
        with self._counting:
            self.tally.failed += 1
        self.failing.record(
            step.route.handler,
            f"failed with {len(step.records)} events from {place_of(step.records[0])} on, which are taken "
            f"one by one: {reason_of(error, step.argument)}",
            topic=step.records[0].topic(),
            error=type(error).__qualname__,
            code=_HANDLER_FAILED,
        )

    def due_probe(self, now: float) -> Route | None:
        """A handler that is shut and of which one event is to be tried now."""
        for route in self.shut:
            if route.outage.probe_at <= now:
                route.outage.probe_at = now + PROBE_LIMIT
                return route
        return None

    def let_go(self) -> None:
        """Events were taken from the handlers, a probe perhaps among them. On the polling thread."""
        for route in self.shut:
            route.outage.probe_again(time.monotonic())

    def recovered(self, route: Route) -> None:
        """An event got through: the handler is called again."""
        with self._counting:
            if route in self.shut:
                self.shut.remove(route)
                route.is_shut = False
                route.outage.end()
                self.logger.warning(f"{route.handler.name} is called again.")

    def give_up(
        self,
        chunk: Chunk,
        record: Record,
        route: Route | None,
        argument: Any,
        error: BaseException,
        attempts: int,
        first_ms: int,
    ) -> None:
        """Have a letter written; the record, suspended, is finished once Kafka has it."""
        if route is None:
            code, reason = UNDECODABLE, why_unread(error)
        else:
            code = REJECTED if isinstance(error, Reject) else _HANDLER_FAILED
            reason = f"{route.handler.name}: {reason_of(error, argument)}"
        self._letters.put(
            NewLetter(chunk, record, code, reason, attempts, first_ms, time.time_ns() // 1_000_000)
        )

    def condemn(self, chunk: Chunk, deaths: int) -> None:
        """Have a letter written of the one record of a chunk that no handler has, and none will."""
        record = chunk.records[0]
        with self._holdings.lock:
            chunk.begun = chunk.end
        self._holdings.suspend(chunk, record.offset())
        reason = f"the process ended {deaths} times while it had this event in hand and no other"
        self.logger.error(f"{place_of(record)} becomes a letter: {reason}.")
        self._letters.put(NewLetter(chunk, record, _CRASHED, reason, deaths, 0, time.time_ns() // 1_000_000))

    def await_outputs(
        self, chunk: Chunk, records: Sequence[Record], route: Route, outputs: list[Delivery]
    ) -> None:
        """The records, suspended, are finished once all of these are delivered; the list is emptied."""
        self._awaited.append(Awaited(chunk, records, route, outputs[:]))
        outputs.clear()

    def sweep(self) -> None:
        """Finish what has all its outputs in Kafka (or, by its terms, safe). On the polling thread."""
        self.failing.tick(time.monotonic())
        for _ in range(len(self._awaited)):
            it = self._awaited.popleft()
            if are_open(it.outputs, it.route.handler.outputs):
                self._awaited.append(it)
                continue
            words = losses(it.outputs)
            if it.route.once is not None:
                it.route.once.settle(it.records[0], handled=not words)
            for record in it.records:
                if words:
                    self.give_up(it.chunk, record, it.route, None, HandlerError(words), 1, 0)
                else:
                    self._holdings.resolve(it.chunk, record.offset())


def why_unread(error: BaseException) -> str:
    """Why a record cannot be decoded: in our words, or what the application's own class raised."""
    return str(error.args[0]) if isinstance(error, Unread) else reason_of(error, None)


def reason_of(error: BaseException, argument: Any) -> str:
    """What a handler raised and where, without what its event holds in marked fields. Raises nothing."""
    try:
        words = _masked_words(error, argument)
    except BaseException as failure:  # its __str__ is the application's, like its handler
        words = f"its text cannot be made, for that raises {type(failure).__qualname__}"
    return f"{type(error).__qualname__}: {words} ({raised_at(error)})"


def _masked_words(error: BaseException, argument: Any) -> str:
    words = str(error.args[0]) if isinstance(error, HandlerError) and error.args else str(error)
    for each in argument if isinstance(argument, list) else [argument]:
        payload = each.data if isinstance(each, Message) else each
        if payload is not None:
            words = masked_text(words, payload)
    return words


def raised_at(error: BaseException) -> str:
    """The file and line where it was raised."""
    trace = error.__traceback__
    if trace is None:
        return "nowhere"
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
