"""The keeper: looks after every event that Kafka did not take at once. One thread; the store's only writer."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import time
from collections import deque
from typing import TYPE_CHECKING

from tidings.errors import Certainty
from tidings.kafka.outcomes import Outcome, answered, certainty_of, classify
from tidings.letters.errors import JournalError
from tidings.letters.letter import DeadLetter
from tidings.letters.naming import dlq_topic
from tidings.letters.owed import LetterRow, Owed
from tidings.publishing.alone import MOST_SUSPECTS, CarefulLane, Ended, Errand, Kind, resent
from tidings.publishing.backlog import Doubt, Shelf, Try
from tidings.publishing.entry import Attempt, Delivery, Pair, Undelivered
from tidings.publishing.gate import bucket_of
from tidings.publishing.housing import Housing
from tidings.publishing.mind import Action, BreakerChanged, Decision, Do, Failure, Look, Mind, Policy, Probe
from tidings.publishing.threads import NativeThread, native_lock
from tidings.publishing.writing import Writer, owed_of
from tidings.states import State

if TYPE_CHECKING:
    from tidings.publishing.engine import Engine
    from tidings.settings import Settings

TICK = 0.25
_BATCH = 5000
_SOON = 0.005
_LAST_DEATH = 3


class Keeper:
    """Takes failed reports, the intake and old entries; stores, sends again, letters, drains."""

    def __init__(self, engine: Engine, settings: Settings, housing: Housing | None) -> None:
        self.housing = housing
        self.inbox: deque[tuple[Delivery, str, str]] = deque()
        self.writer = Writer(engine.logger)
        self.retried = 0
        self.reordered = 0
        self._engine = engine
        self._settings = settings
        self._mind = Mind(
            Policy(
                stores=housing is not None,
                retry_max=settings.retry_max,
                backoff=settings.retry_backoff,
                backoff_max=settings.retry_backoff_max,
                outage_after=settings.outage_after,
                delivery_timeout=settings.delivery_timeout,
            ),
            random.Random(),  # noqa: S311 - jitter
        )
        self._lane = CarefulLane(lambda: engine.start().careful())
        self._resends: list[tuple[float, int, Delivery]] = []
        self._order = itertools.count()
        self._clock = 1.0
        self._last: float | None = None
        self._next_tick = 0.0
        self._fresh: list[tuple[Delivery, list[Pair]]] = []
        self._waits: list[tuple[Delivery, str, float]] = []
        self._letters_in_memory = 0
        self._suspects = 0
        self._probing: set[str] = set()
        self._alarm = native_lock()
        self._alarm.acquire()
        self._secured = native_lock()
        self._secured.acquire()
        self._securing = False
        self._resting = False
        self._stopping = False
        self._secured_soon = False
        self._deaths = 0
        self._thread = NativeThread(self._run, "tidings-keeper")

    # -- for other threads

    def start(self) -> None:
        """Start the thread. Raises RuntimeError when none can be made."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        if self._alarm.locked():
            with contextlib.suppress(RuntimeError):
                self._alarm.release()

    @property
    def is_current(self) -> bool:
        """True on the keeper's thread."""
        return self._thread.is_current

    def secure(self, timeout: float) -> bool:
        """Write everything that has not ended to the store, now; True when that was done in time."""
        self._securing = True
        self.wake()
        return self._secured.acquire(timeout=timeout)

    def rest(self) -> None:
        """Send nothing any more: what fails from now on stays on disk, or is lost."""
        self._resting = True

    def stop(self, timeout: float) -> bool:
        """Have the thread do its last turn and end; the rest is on disk, or lost."""
        self._stopping = True
        self.wake()
        return self._thread.join(timeout)

    @property
    def breakers(self) -> dict[str, str]:
        """Topics that take nothing, and why."""
        return self._mind.breakers

    @property
    def letters(self) -> int:
        """Letters held here: in the store, or in memory."""
        return self._letters_in_memory + (self.housing.letters if self.housing else 0)

    @property
    def has_work(self) -> bool:
        """True while something could still be delivered without anybody's doing."""
        waiting = any(
            shelf.waiting(topic) and not self._mind.is_open(topic)
            for shelf in (self.housing.shelves if self.housing else ())
            for topic in list(shelf.journal.topics())
        )
        return bool(waiting or self.inbox or self._engine.gate.intake or self._resends or len(self._lane))

    # -- the loop

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.open_store()
                more = self._turn()
                self._alarm.acquire(timeout=0 if more else self._pause())
            except BaseException as error:
                self._deaths += 1
                self._engine.keeper_stumbled(error, last=self._deaths >= _LAST_DEATH)
                time.sleep(TICK)
        self._last_turn()

    def _pause(self) -> float:
        if self._lane.is_busy:
            return _SOON
        dues = [self._next_tick]
        if self._resends:
            dues.append(self._resends[0][0])
        if (due := self._lane.next_due) is not None:
            dues.append(due)
        return max(_SOON, min(min(dues) - self._clock, TICK))

    def _turn(self) -> bool:
        now = self._advance()
        failures = self._failures()
        for ended in self._lane.serve(now, send=not self._resting):
            failures += self._errand_ended(ended, now)
        looks = self._tick(now) if now >= self._next_tick or self._securing else None
        for action in self._mind.step(now, failures, looks):
            self._do(action, now)
        self._fresh += self._engine.gate.empty(_BATCH)
        self._write(now)
        drained = False
        if not self._resting:
            drained = self._drain(now)
            self._send_again(now)
            self._post_letters(now)
        self._update()
        return drained or bool(self.inbox or self._engine.gate.intake)

    def _advance(self) -> float:
        """The keeper's clock: a machine that was suspended is not an outage (ENGINE R13)."""
        real = time.monotonic()
        if self._last is not None:
            self._clock += min(real - self._last, 2 * TICK)
        self._last = real
        return self._clock

    def _failures(self) -> list[Failure]:
        failures = []
        for _ in range(len(self.inbox)):
            entry, kafka_error, reason = self.inbox.popleft()
            if entry.ended:
                continue
            entry.waiting = True
            entry.maybe_sent = entry.maybe_sent or not (
                answered(kafka_error) or certainty_of(kafka_error) == "not_delivered"
            )
            entry.why = Undelivered(kafka_error, reason, self._certainty(entry, kafka_error), entry.attempts)
            failures.append(
                Failure(
                    entry=entry,
                    topic=entry.topic,
                    kafka_error=kafka_error,
                    resends=entry.attempts - 1,
                    age=self._clock - (entry.born or self._clock),
                )
            )
        return failures

    @staticmethod
    def _certainty(entry: Delivery, kafka_error: str) -> Certainty:
        return "unknown" if entry.maybe_sent else certainty_of(kafka_error)

    # -- looking

    def _tick(self, now: float) -> dict[str, Look]:
        engine, ledger, policy = self._engine, self._engine.ledger, self._settings
        self._next_tick = now + TICK
        engine.on_tick(now)
        if self.housing is not None and not self._securing:
            self.housing.adopt(now)
        entries = ledger.stamp(now)
        self._take_unreported(entries)
        looks: dict[str, Look] = {}
        patience = min(policy.outage_after, policy.delivery_timeout / 2)
        after = 0.0 if self._securing or policy.durability == "write-ahead" else policy.store_after
        added = 0
        for entry in entries:
            age = now - entry.born
            if entry.ended or (age < after and not self._mind.is_watching):
                continue
            in_client = entry.handed and not entry.waiting
            if in_client and (age >= patience or self._mind.watches(entry.topic)):
                look = looks.setdefault(entry.topic, Look(in_client=True))
                look.oldest = max(look.oldest, age)
            if age < after:
                continue
            if entry.on_disk:
                if age >= policy.store_after:
                    self._settle_stored(entry)
            elif self.writer.is_ready and not entry.seq and entry.handed and added < _BATCH:
                if not (entry.waiting and entry.why is None):  # else it is in the intake
                    added += 1
                    self.writer.add(entry, entry.record_headers(), entry.why.kafka_error if entry.why else "")
        acked, ledger.acked = ledger.acked or set(), None
        for topic in {*acked, *self._mind.breakers}:
            look = looks.setdefault(topic, Look())
            look.acked = topic in acked
            look.probing = topic in self._probing
            look.waiting = any(shelf.waiting(topic) for shelf in self._shelves)
        if looks or self._mind.is_watching:
            ledger.acked = set()
        if self._securing and not added:
            self._secured_soon = True
        return looks

    @property
    def _shelves(self) -> list[Shelf]:
        return self.housing.shelves if self.housing is not None else []

    def _take_unreported(self, entries: list[Delivery]) -> None:
        """A report can be eaten by a signal handler that raises (ENGINE R20): once the client is empty, what
        it never reported on has failed."""
        pump, transport = self._engine.pump, self._engine.transport
        if pump is None or transport is None or len(transport):
            return
        unreported = [entry for entry in entries if entry.handed and not entry.waiting and not entry.ended]
        if unreported:
            pump.serve(lambda _: self._lost_reports(unreported), 0)

    def _lost_reports(self, unreported: list[Delivery]) -> None:
        transport = self._engine.transport
        if transport is None or len(transport):
            return
        known = {id(entry) for entry, _, _ in self.inbox}
        for entry in unreported:
            if not entry.ended and id(entry) not in known:
                self.inbox.append((entry, "_LOST_REPORT", "the client is empty and never reported on it"))

    # -- doing

    def _do(self, action: Action, now: float) -> None:
        if isinstance(action, Decision):
            self._decide(action, now)
        elif isinstance(action, BreakerChanged):
            self._engine.breaker_changed(action.topic, action.cause)
        elif isinstance(action, Probe):
            self._probe(action.topic, now)
        else:
            self._engine.rebuild(action.cause)

    def _decide(self, decision: Decision, now: float) -> None:
        failure, entry = decision.failure, decision.failure.entry
        due = now + decision.delay
        if decision.do is Do.EXAMINE:
            if failure.suspect:
                self._suspects -= 1
            self._suspects += 1
            answers = failure.answers
            if failure.kafka_error == "INVALID_TIMESTAMP" and failure.careful:
                entry.timestamp = 0
            self._lane.add(Errand(Kind.SUSPECT, entry, answers=answers, resends=failure.resends + 1), due)
            return
        if failure.suspect:
            self._suspects -= 1
        if decision.do is Do.WAIT and self.writer.is_ready:
            self._wait(entry, due)
        elif decision.do is Do.LETTER:
            self._letter(entry)
        elif decision.do is Do.LOSE:
            self._engine.lose(entry)
        else:
            heapq.heappush(self._resends, (due, next(self._order), entry))

    def _wait(self, entry: Delivery, due: float) -> None:
        if entry.on_disk:
            self._shelve(entry, due)
        else:
            if not entry.seq:
                self.writer.add(entry, entry.record_headers(), entry.why.kafka_error if entry.why else "")
            self._waits.append((entry, "", due))

    def _shelve(self, entry: Delivery, due: float | None) -> None:
        """A row takes over from the entry; the next sending is the drain's."""
        shelf = entry.shelf
        assert shelf is not None
        line = shelf.line(entry.topic)
        line.back(entry.seq)
        if entry.why is not None:
            shelf.tries[entry.seq] = Try(entry.attempts, entry.maybe_sent, entry.why.kafka_error)
        if due is not None:
            line.doubt(bucket_of(entry.key), due)
        self._settle_stored(entry)
        entry.shelved()

    def _settle_stored(self, entry: Delivery) -> None:
        if entry.state is State.ACCEPTED:
            entry.state = State.STORED
            self._engine.waking.wake(entry)

    def _letter(self, entry: Delivery) -> None:
        why = entry.why
        assert why is not None
        now_ms = time.time_ns() // 1_000_000
        owed = owed_of(entry, entry.record_headers(), entry.seq)
        try:
            letter = DeadLetter.of(
                owed,
                error_code=why.kafka_error,
                reason=why.reason,
                certainty=why.certainty,
                client_id=self._settings.client_id,
                first_attempt_ms=owed.accepted,
                last_attempt_ms=now_ms,
            )
        except ValueError as error:
            self._engine.logger.error(f"no letter can be made of {entry.event_id!r}: {error}")
            self._engine.lose(entry)
            return
        entry.why = Undelivered(why.kafka_error, why.reason, why.certainty, entry.attempts, letter.letter_id)
        row = LetterRow(
            letter_id=letter.letter_id,
            event_id=letter.event_id,
            topic=dlq_topic(self._settings.dlq_topic, entry.topic),
            origin_topic=entry.topic,
            key=entry.key,
            value=letter.encode(),
            accepted=owed.accepted,
            reason=why.kafka_error,
        )
        if self.writer.is_ready:
            self.writer.add_letter(entry, row)
        elif self._letters_in_memory >= self._settings.dlq_buffer:
            self._engine.lose(entry)
        else:
            self._letters_in_memory += 1
            self._lane.add(Errand(Kind.LETTER, entry, row), self._clock)

    def _probe(self, topic: str, now: float) -> None:
        for shelf in self._shelves:
            line = shelf.line(topic)
            for row in shelf.journal.read(topic, 0, len(line.held) + 1):
                if row.seq not in line.held:
                    entry = self._entry(shelf, row)
                    entry.waiting = entry.handed = True
                    line.held.add(row.seq)
                    self._engine.ledger.join(entry)
                    self._probing.add(topic)
                    self._lane.add(Errand(Kind.PROBE, entry, resends=entry.attempts), now)
                    return

    def _errand_ended(self, ended: Ended, now: float) -> list[Failure]:
        errand, entry = ended.errand, ended.errand.entry
        if errand.kind is Kind.LETTER:
            self._letter_ended(ended, now)
            return []
        assert entry is not None
        if errand.kind is Kind.PROBE:
            self._probing.discard(entry.topic)
        if not ended.kafka_error:
            if errand.kind is Kind.SUSPECT:
                self._suspects -= 1
            entry.acknowledged(ended.partition, ended.offset, ended.timestamp)
            self._engine.ledger.delivered_alone += 1
            if entry.seq:
                self.writer.forget(entry)
            self._lower(entry)
            self._engine.waking.wake(entry)
            for action in self._mind.closed(entry.topic):
                self._do(action, now)
            return []
        error = ended.kafka_error
        entry.maybe_sent = entry.maybe_sent or not (answered(error) or certainty_of(error) == "not_delivered")
        entry.why = Undelivered(error, ended.reason, self._certainty(entry, error), entry.attempts)
        return [
            Failure(
                entry=entry,
                topic=entry.topic,
                kafka_error=error,
                careful=True,
                suspect=errand.kind is Kind.SUSPECT,
                answers=errand.answers,
                resends=errand.resends,
                age=now - (entry.born or now),
            )
        ]

    def _letter_ended(self, ended: Ended, now: float) -> None:
        errand, letter, shelf = ended.errand, ended.errand.letter, ended.errand.shelf
        assert letter is not None
        if not ended.kafka_error:
            if shelf is not None:
                shelf.journal.commit(letters_done=[letter.row])
                shelf.letters_out.discard(letter.row)
            else:
                self._letters_in_memory -= 1
                self._dead_lettered(errand.entry)
            return
        errand.resends += 1
        if classify(ended.kafka_error) is Outcome.SUSPECT:
            errand.answers += 1
            if errand.answers >= self._settings.retry_max:
                self._engine.logger.error(
                    f"letter {letter.letter_id} of event_id={letter.event_id} was refused by {letter.topic}: "
                    f"{ended.kafka_error} ({ended.reason}). It waits for a person."
                )
                if shelf is not None:
                    shelf.journal.commit(letters_parked=[letter.row])
                    shelf.letters_out.discard(letter.row)
                else:
                    self._letters_in_memory -= 1
                    if errand.entry is not None:
                        self._engine.lose(errand.entry)
                return
        self._lane.add(errand, now + self._mind.back_off(errand.resends))

    def _dead_lettered(self, entry: Delivery | None) -> None:
        if entry is None or entry.why is None:
            return
        self._engine.ledger.dead_letter(entry, entry.why)
        self._lower(entry)
        entry.shelved()
        self._engine.waking.wake(entry)

    def _lower(self, entry: Delivery) -> None:
        if entry.waiting and (entry.shelf is None or entry.shelf.own):
            self._engine.gate.lower_bucket(entry.topic, entry.key)

    # -- writing

    def _write(self, now: float) -> None:
        fresh, self._fresh = self._fresh, []
        if self.housing is not None:
            for entry, headers in fresh:
                if not entry.seq:
                    self.writer.add(entry, headers)
        self._engine.gate.unstorable = (
            None if self.writer.is_ready or self.housing is None else self.writer.refusal
        )
        if self.writer.shelf is not None:
            added, letters = self.writer.commit(now, self._shelves)
            if self.writer.failure is not None:
                self._unprotected(fresh, now)
                return
            for entry, _ in letters:
                self._dead_lettered(entry)
            for entry, _, due in self._waits:
                if entry.on_disk and not entry.ended:
                    self._shelve(entry, due)
            self._waits = []
            for entry in added:
                self._engine.waking.wake_safe(entry)
                if not entry.waiting and self._settings.durability == "spill":
                    self._settle_stored(entry)
        self._produce_fresh(fresh)
        if self._secured_soon and not self._engine.gate.intake and not self.inbox:
            with contextlib.suppress(RuntimeError):
                self._secured.release()

    def _produce_fresh(self, fresh: list[tuple[Delivery, list[Pair]]]) -> None:
        """What was diverted and is on disk now goes to the client at once, if nothing is before it."""
        engine = self._engine
        closed: set[str] = {
            topic
            for topic in {entry.topic for entry, _ in fresh}
            if engine.gate.rebuilding
            or self._mind.is_open(topic)
            or any(shelf.waiting(topic) for shelf in self._shelves)
        }
        for entry, headers in fresh:
            if entry.ended:
                continue
            if entry.topic in closed or not self._hand(entry, headers):
                closed.add(entry.topic)
                self._shelve(entry, None)

    def _hand(self, entry: Delivery, headers: list[Pair]) -> bool:
        transport = self._engine.transport
        if transport is None:
            return False
        entry.waiting = False
        entry.attempts += 1
        try:
            transport.produce(
                entry.topic, entry.value, entry.key, entry.partition, entry, None, entry.timestamp, headers
            )
        except Exception as error:
            entry.waiting = True
            entry.attempts -= 1
            fault = transport.refusal(error)
            if fault is not None and fault.name() == "_QUEUE_FULL":
                return False
            self.inbox.append(
                (entry, fault.name() if fault else "UNKNOWN", fault.str() if fault else repr(error))
            )
            return True
        if entry.shelf is None or entry.shelf.own:
            self._engine.gate.lower_bucket(entry.topic, entry.key)
        return True

    def _unprotected(self, fresh: list[tuple[Delivery, list[Pair]]], now: float) -> None:
        """The store failed: what was accepted goes to Kafka without a copy on disk, and waits in memory."""
        _, letters = self.writer.give_up()
        for entry, row in letters:
            self._letters_in_memory += 1
            self._lane.add(Errand(Kind.LETTER, entry, row), now)
        for entry, _, due in self._waits:
            heapq.heappush(self._resends, (due, next(self._order), entry))
        self._waits = []
        for entry, headers in fresh:
            if not entry.ended and not self._hand(entry, headers):
                heapq.heappush(self._resends, (now, next(self._order), entry))

    # -- sending again

    def _entry(self, shelf: Shelf, row: Owed) -> Delivery:
        tried = shelf.tries.get(row.seq)
        entry = Delivery(
            self._engine,
            row.topic,
            row.key,
            row.value,
            list(row.headers),
            row.event_id,
            row.partition,
            row.timestamp,
        )
        entry.attempts = tried.attempts if tried else row.attempts
        entry.maybe_sent = tried.maybe_sent if tried else (row.maybe_sent or not shelf.own)
        entry.state = State.STORED
        entry.seq, entry.shelf, entry.on_disk = row.seq, shelf, True
        return entry

    def _drain(self, now: float) -> bool:
        transport = self._engine.transport
        if transport is None or self._engine.gate.rebuilding or not self._shelves:
            return False
        room = min(_BATCH, self._settings.queue_messages - len(transport))
        for shelf in self._shelves:
            for topic in list(shelf.journal.topics()):
                if room <= 0 or self._mind.is_open(topic) or not shelf.waiting(topic):
                    continue
                line = shelf.line(topic)
                line.clear_doubts()
                blocked = self._engine.gate.blocked(topic)
                for row, doubt in line.rows(shelf.journal, topic, blocked, now, time.monotonic):
                    if not self._drain_row(shelf, row, doubt, now):
                        room = 0
                    room -= 1
                    if room <= 0:
                        break
        return room < _BATCH and room <= 0 and len(transport) < self._settings.queue_messages // 2

    def _drain_row(self, shelf: Shelf, row: Owed, doubt: Doubt | None, now: float) -> bool:
        entry = self._entry(shelf, row)
        line = shelf.line(row.topic)
        tried = shelf.tries.get(row.seq)
        last = tried.kafka_error if tried else row.reason
        if last and classify(last) is Outcome.SUSPECT:
            if self._suspects >= MOST_SUSPECTS:
                return False
            entry.waiting = entry.handed = True
            line.held.add(row.seq)
            self._engine.ledger.join(entry)
            self._suspects += 1
            self._lane.add(Errand(Kind.SUSPECT, entry, resends=entry.attempts), now)
            return True
        headers = list(row.headers)
        if entry.attempts or not shelf.own:
            headers.append(resent(entry.attempts + 1))
            self.retried += 1
        line.held.add(row.seq)
        self._engine.ledger.join(entry)
        handed = self._hand(entry, headers)
        entry.handed = True
        if not handed:
            line.held.discard(row.seq)
            entry.shelved()
            return False
        if doubt is not None:
            doubt.probe = entry
        return True

    def _send_again(self, now: float) -> None:
        """Memory mode, or a store that fails: entries are sent again from memory."""
        while self._resends and self._resends[0][0] <= now and not self._engine.gate.rebuilding:
            entry = heapq.heappop(self._resends)[2]
            if entry.ended:
                continue
            transport = self._engine.transport
            assert transport is not None
            entry.attempts += 1
            entry.waiting = False
            self.retried += 1
            try:
                transport.produce(
                    entry.topic,
                    entry.value,
                    entry.key,
                    entry.partition,
                    Attempt(entry),
                    None,
                    entry.timestamp,
                    [*entry.record_headers(), resent(entry.attempts)],
                )
            except Exception as error:
                entry.waiting = True
                fault = transport.refusal(error)
                if fault is not None and fault.name() == "_QUEUE_FULL":
                    entry.attempts -= 1
                    heapq.heappush(self._resends, (now + TICK, next(self._order), entry))
                    return
                self.inbox.append(
                    (entry, fault.name() if fault else "UNKNOWN", fault.str() if fault else repr(error))
                )
            else:
                self._engine.gate.lower_bucket(entry.topic, entry.key)

    def _post_letters(self, now: float) -> None:
        for shelf in self._shelves:
            journal = shelf.journal
            if journal.letter_count <= len(shelf.letters_out) or len(shelf.letters_out) >= 100:
                continue
            for letter in journal.letters(0, 100 + len(shelf.letters_out)):
                if letter.row not in shelf.letters_out:
                    shelf.letters_out.add(letter.row)
                    self._lane.add(Errand(Kind.LETTER, None, letter, shelf), now)

    # -- the rest

    def _update(self) -> None:
        gate = self._engine.gate
        if self.housing is not None:
            self.housing.count()
            gate.refusal = self.housing.refusal if self.housing.is_full else None
        gate.shut(self._mind.breakers if self.housing is not None else {}, self._blocked())
        self._engine.route()

    def _blocked(self) -> dict[str, frozenset[int]]:
        return {}

    def open_store(self) -> None:
        """Make this process's journal; called on the keeper's thread."""
        if self.housing is None or self.writer.shelf is not None:
            return
        try:
            self.writer.shelf = self.housing.open()
        except JournalError as error:
            self.writer.failure = str(error)
            self._engine.logger.critical(f"the store cannot be opened: {error}")

    def _last_turn(self) -> None:
        now = self._advance()
        for ended in self._lane.close():
            for failure in self._errand_ended(ended, now):
                if failure.entry is not None:
                    self._waits.append((failure.entry, "", now))
        self._failures()
        self._fresh += self._engine.gate.empty(1 << 30)
        entries = self._engine.ledger.open_entries()
        if self.writer.shelf is not None:
            for entry in entries:
                if not entry.seq:
                    self.writer.add(entry, entry.record_headers())
            _, letters = self.writer.commit(now + 3600, self._shelves)
            for entry, _ in letters:
                self._dead_lettered(entry)
        for entry in entries:
            if entry.on_disk and not entry.ended:
                self._shelve(entry, None)
        if self.housing is not None:
            self.housing.count()
            self.housing.close()
