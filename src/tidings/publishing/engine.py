"""The engine: takes records, hands them to the transport, and accounts for each until it ends."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tidings.errors import (
    PublisherClosed,
    PublisherFailed,
    PublishError,
    QueueFull,
)
from tidings.kafka.outcomes import certainty_of
from tidings.publishing.accepting import accepting
from tidings.publishing.entry import Delivery, Pair, Refused, Undelivered
from tidings.publishing.gate import Gate
from tidings.publishing.guards.doors import Guards
from tidings.publishing.guards.waiting import admission
from tidings.publishing.ledger import Ledger
from tidings.publishing.mind import LOST_REPORT
from tidings.publishing.pump import Pump
from tidings.publishing.silence import Silence
from tidings.publishing.storms import Storms
from tidings.publishing.threads import is_patched, native_rlock
from tidings.publishing.transport import Fault, Transport
from tidings.publishing.voice import Voice
from tidings.publishing.waking import Waking
from tidings.signals import BreakerChanged, Fatal, Lost
from tidings.states import Stats

if TYPE_CHECKING:
    from tidings.settings import Settings

_LAST_DEATH = 3
_REMEMBERED = 1000
_COUNTING = 60.0
_LONGEST_ID = 250
_SLICE = 0.05
_NAP = 0.002
_RESOLVING = 0.1
_STANDING_STILL = 1.0
_SHARE = 0.8
"""While events are diverted, callers may fill this much of the queue: the drain gets the rest (ENGINE R6)."""


class Engine:
    """One engine serves one process; a forked child makes its own.

    ``connect`` makes the transport, at the first record. ``directory`` is where the store is; None in memory
    mode.
    """

    def __init__(
        self,
        connect: Callable[[], Transport],
        settings: Settings,
        directory: Path | None,
        logger: logging.Logger,
    ) -> None:
        from tidings.publishing.housing import Housing  # noqa: PLC0415 - sqlite3 and filelock cost 10 ms
        from tidings.publishing.keeper import Keeper  # noqa: PLC0415

        self.ledger = Ledger()
        self.logger = voice = Voice(logger, component="kafka", brokers=",".join(settings.brokers))
        self.waking = Waking(self._nudge, voice)
        self.signals = self.waking.signals
        self.silence = Silence()
        self.storms = Storms(voice)
        self.transport: Transport | None = None
        self.pump: Pump | None = None
        self.unwoken: list[Delivery] = []
        self.lost: dict[bytes, tuple[str, str]] = {}
        """Where the events lost last were going, and why they are gone, by event_id: 1,000 at most."""
        self.failure: str | None = None
        self.closed = False
        self._connect = connect
        self._crowd = int(settings.queue_messages * _SHARE)
        self.gate = Gate(
            always=settings.durability == "write-ahead" and directory is not None,
            orders=settings.ordering == "key" and directory is not None,
            most_messages=settings.intake_messages,
            most_bytes=settings.intake_bytes,
            changed=self.route,
            wake=self._wake_keeper,
        )
        housing = None if directory is None else Housing(directory, settings, self.ledger, voice)
        self.keeper = Keeper(self, settings, housing)
        self.produce: Callable[..., None] = self._start_and_produce
        self.guards = Guards(self, settings)
        self.not_handed = admission(self, settings.max_block).not_handed
        self.accept = accepting(self, self.guards.doors["normal"])
        self._starting = native_rlock()
        self._connected: tuple[Transport] | None = None
        self._connected_at = 0.0
        self.rebuilds = 0
        self._deaths = 0

    # -- taking

    def tick(self) -> None:
        """Called by a publishing thread at each new millisecond: lend the pump a hand."""
        if self.pump is not None:
            self.pump.lend()
            self.ledger.tidy()

    def start(self) -> Transport:
        """Make the transport and start the pump, once. Raises what connecting raises."""
        if self._starting._is_owned():
            raise QueueFull("A signal handler came while the Kafka client was being made.")
        with self._starting:
            if self.closed:
                raise self.closed_error()
            if self.transport is None:  # a step at a time: a signal handler may raise after each
                self._connected = self._connected or (self._connect(),)
                self._connected_at = time.monotonic()
                self.pump = self.pump or Pump(self._connected[0], self._on_poll, self._on_death)
                self.pump.start()
                self.keeper.start()
                self.transport = self._connected[0]
            if self.produce == self._start_and_produce:
                self.route()
                if self.closed:  # just now, by a signal handler or another thread: it saw no pump to stop
                    self.pump.stop(0)
                    self.keeper.stop(0)
            return self.transport

    def before_fork(self) -> Callable[[], None]:
        """Stand still; returns what ends that. A client that was just made is resolving names."""
        if self.transport is not None and (left := self._connected_at + _RESOLVING - time.monotonic()) > 0:
            time.sleep(left)
        return self.keeper.stand_still(0.0 if self.keeper.is_current else _STANDING_STILL)

    def route(self) -> None:
        """Choose where events go: straight to the client as a rule, through the gate while it matters."""
        transport = self.transport
        if transport is not None and not self.closed and self.failure is None:
            self.produce = transport.produce if self.gate.is_clear else self._produce_gated
        if self.closed:  # asked again: shut() on another thread may have come in between
            self.produce = self._refuse_closed
        elif self.failure is not None:
            self.produce = self._refuse_failed

    def _produce_gated(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        entry: Delivery,
        unused: None,
        timestamp: int,
        headers: list[Pair],
    ) -> None:
        gate, transport = self.gate, self.transport
        if gate.refusal is not None:
            raise gate.refusal()
        if transport is None or not self.stores:
            raise BufferError("the client is being made anew")
        if gate.diverts(topic, key) or len(transport) >= self._crowd:
            gate.take(entry, headers)
        else:
            transport.produce(topic, value, key, partition, entry, unused, timestamp, headers)

    @property
    def stores(self) -> bool:
        """True when there is a store to divert to."""
        return self.keeper.housing is not None

    def _wake_keeper(self) -> None:
        self.route()
        self.keeper.wake()

    def _start_and_produce(self, *record: Any) -> None:
        try:
            self.start()
        except (PublishError, TimeoutError):  # a TimeoutError is a signal handler's, as a rule
            raise
        except Exception as error:
            raise PublisherFailed(f"The Kafka client cannot be made: {error}") from error
        self.produce(*record)

    # -- reports

    def undelivered(self, entry: Delivery, fault: Fault, attempt: int) -> None:
        """This hand-over did not deliver the record: the keeper decides what becomes of it."""
        self.keeper.inbox.append((entry, attempt, fault.name(), fault.str()))
        self.gate.raise_bucket(entry)
        self.keeper.wake()

    def forget(self, entry: Delivery) -> None:
        """The entry was delivered: its row goes."""
        self.keeper.writer.forget(entry)

    def lose(self, entry: Delivery) -> None:
        """End an entry that is gone, with the reason it failed by last."""
        why = entry.why
        self._lose(entry, why.kafka_error if why else "UNKNOWN", why.reason if why else "unknown")

    def _lose(self, entry: Delivery, kafka_error: str, reason: str) -> None:
        certainty = "unknown" if entry.maybe_sent else certainty_of(kafka_error)
        failure = Undelivered(kafka_error, reason, certainty, entry.attempts)
        try:
            self.ledger.lose(entry, failure)
            self._remember(entry, failure)
            self._tell(entry)
        except BaseException:  # a signal handler's: the pump makes up for it
            self.unwoken.append(entry)
            raise

    def _remember(self, entry: Delivery, failure: Undelivered) -> None:
        lost = self.lost
        if len(lost) >= _REMEMBERED:
            lost.pop(next(iter(lost)), None)
        lost[entry._event_id] = entry.topic, f"{failure.kafka_error} ({failure.reason})"
        self.signals.send(Lost(entry.event_id, entry.topic, failure.kafka_error, failure.certainty))

    def _tell(self, entry: Delivery) -> None:
        """Log the loss of an entry, once, and wake those who wait for it. May be called again."""
        why = entry._failure
        if isinstance(why, Undelivered) and entry.headers is not None:
            self.storms.tell(self.storms.lost, entry, why)
            entry.headers = entry.value = None  # in this order: the value is what headers are read from
        self.waking.wake(entry)

    def tell_unwoken(self) -> None:
        """Make up for what signal handlers interrupted; they cannot on the pump's thread."""
        for entry in tuple(self.unwoken):
            if entry.seq and entry.ended:
                self.forget(entry)
            if entry.done():
                self._tell(entry)
            with contextlib.suppress(ValueError):  # close() does it too
                self.unwoken.remove(entry)

    def _nudge(self) -> None:
        if self.pump is not None:
            self.pump.nudge()

    def attend(self, seconds: float) -> None:
        """Move deliveries along for a moment, on the thread of somebody who waits for them."""
        if self.pump is None or self.transport is None:
            return
        self.pump.stand_back(2 * _SLICE)
        if is_patched() or not self.pump.serve(self.transport.flush, min(seconds, _SLICE)):
            time.sleep(min(seconds, _NAP))

    # -- the pump's tick

    def _on_poll(self, now: float) -> None:
        if self.unwoken:
            self.tell_unwoken()

    def on_tick(self, now: float) -> None:
        """Called by the keeper every 250 ms."""
        self.ledger.sweep()
        delivered = self.ledger.delivered + self.ledger.delivered_alone
        self.silence.tick(now, delivered, idle=self.ledger.is_idle)
        self.storms.tick(now)
        self.waking.complaints.tick(now)

    def breaker_changed(self, topic: str, cause: str) -> None:
        """A topic's circuit breaker opened, or closed again."""
        self.signals.send(BreakerChanged(topic, cause))
        if cause:
            kept = "they wait in the store" if self.stores else "they wait in memory"
            self.storms.kafka.record(
                f"topic={topic} takes no events: {cause}; {kept}", topic=topic, error=cause
            )
        else:
            self.storms.kafka.record(f"topic={topic} takes events again", topic=topic)

    def rebuild(self, cause: str) -> None:
        """The client is beyond repair: make a new one, once the old one has told all it knows."""
        if self.pump is not None and not self.gate.rebuilding:
            self.logger.critical(f"the Kafka client failed: {cause}. It is made anew; events wait meanwhile.")
            self.signals.send(Fatal(cause))
            self.gate.rebuilding = True
            self.route()
            self.pump.replace(self._connect, self._rebuilt)

    def _rebuilt(self, transport: Transport) -> None:
        self.transport = transport
        self._connected_at = time.monotonic()
        self.rebuilds += 1
        for entry in self.ledger.open_entries():
            if entry.handed and not entry.waiting:
                self.keeper.inbox.append(
                    (entry, entry.attempts, LOST_REPORT, "the client failed before it reported")
                )
        self.gate.rebuilding = False
        self.route()
        self.keeper.wake()

    def keeper_stumbled(self, error: BaseException, *, last: bool) -> None:
        """The keeper's loop raised: a defect. It goes on, but not for ever."""
        if last:
            self.failure = self.failure or repr(error)
            self.route()
        self.logger.critical(f"the keeper stumbled: {error!r}", exc_info=error)

    def _on_death(self, error: BaseException) -> None:
        """Polling raised: a fatal client error ends the engine at once, a defect at its third time."""
        if self.failure is not None:
            return  # said already
        self._deaths += 1
        fault = None
        if self.transport is not None and isinstance(error, Exception):
            fault = self.transport.refusal(error)
        if fault is not None:
            self._deaths -= 1
            self.keeper.client_failed(fault.name())
            return
        if self._deaths >= _LAST_DEATH:
            self.failure = repr(error)
            self.route()
        self.logger.critical(f"the poll thread stumbled ({self._deaths}): {error!r}", exc_info=error)

    # -- the end

    def shut(self) -> None:
        """From now on every publish() is refused."""
        self.closed = True
        self.produce = self._refuse_closed

    def _refuse_closed(self, *_: object) -> None:
        raise self.closed_error()

    @staticmethod
    def closed_error() -> PublisherClosed:
        """What is raised once the publisher is closed."""
        return PublisherClosed("The publisher was closed.")

    def _refuse_failed(self, *_: object) -> None:
        raise PublisherFailed(f"The Kafka client failed: {self.failure}.")

    @property
    def is_serving(self) -> bool:
        """True inside a report: nothing can be waited for that other reports bring."""
        return self.pump is not None and self.pump.is_serving

    @property
    def is_engine_at_work(self) -> bool:
        """True inside a report, and on a thread of the engine's own: the pump's, or that of callbacks."""
        pumping = self.pump is not None and self.pump.is_current
        return pumping or self.is_serving or self.waking.is_current_thread or self.keeper.is_current

    def abandon(self, entry: Delivery) -> None:
        """End an entry at close: lost when the client had it, refused when it never got there."""
        if entry.why is not None:
            self.lose(entry)
        elif entry.handed:
            self._lose(entry, "_PURGE_INFLIGHT", "given up at close()")
        else:
            self.ledger.cancel(entry, Refused(PublisherClosed, "The publisher was closed."))
            self.waking.wake(entry)

    def stats(self) -> Stats:
        """The counters at one moment. What ended is read first, so ``in_flight`` never goes below zero."""
        ledger = self.ledger
        ended = delivered, dead, lost, stored = (
            ledger.delivered + ledger.delivered_alone,
            ledger.dead_lettered,
            ledger.lost,
            ledger.stored,
        )
        taken = accepted, adopted, replayed = ledger.accepted, ledger.adopted, ledger.replayed
        rejected = ledger.rejected
        return Stats(
            accepted=accepted,
            adopted=adopted,
            replayed=replayed,
            delivered=delivered,
            dead_lettered=dead,
            lost=lost,
            stored=stored,
            in_flight=sum(taken) - sum(ended),
            rejected=sum(rejected.values()),
            rejected_by=rejected,
            shed=ledger.shed,
            retried=self.keeper.retried,
            unprotected=self.keeper.writer.unprotected,
            under_way=self.guards.under_way,
            dead_letter_queue_size=self.keeper.letters,
            breakers=self.keeper.breakers,
            is_closed=self.closed,
            failed=self.failure is not None,
        )

    def audit(self) -> Stats:
        """The same, with what is in flight and stored counted one by one. Exact while nobody publishes.

        Raises TimeoutError when the store cannot be counted within 60 s.
        """
        if self.keeper.is_at_work:
            stored = self.keeper.ask(self.keeper.count_stored, _COUNTING)
        else:
            stored = self.ledger.stored
        in_flight = len(self.ledger.open_entries())
        return msgspec.structs.replace(self.stats(), in_flight=in_flight, stored=stored)
