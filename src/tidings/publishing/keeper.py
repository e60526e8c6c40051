"""The keeper: looks after all that Kafka did not take at once. One thread, the store's only writer."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from tidings.kafka.outcomes import answered
from tidings.letters.errors import JournalError
from tidings.letters.frames import MOST_EVENTS
from tidings.publishing.alone import Ended, Kind
from tidings.publishing.backlog import Shelf
from tidings.publishing.desk import TICK, Desk
from tidings.publishing.entry import Delivery, Pair
from tidings.publishing.hands import Hands
from tidings.publishing.housing import Housing
from tidings.publishing.lettering import Lettering
from tidings.publishing.mind import Action, BreakerChanged, Decision, Do, Failure, Look, Probe
from tidings.publishing.threads import NativeThread, acquire, native_lock
from tidings.publishing.watch import Watch

if TYPE_CHECKING:
    from tidings.publishing.engine import Engine
    from tidings.settings import Settings

T = TypeVar("T")
_SOON = 0.005
_EVERYTHING = 1 << 30
_TAKEN = MOST_EVENTS
"""What a turn takes from the intake: one row of the journal, which is still warm when the events are handed
over. With 6,000 at a time write-ahead mode is 10 to 30% slower."""
_LAST_DEATH = 3


class Keeper:
    """Takes failed hand-overs, the intake and old entries; stores, sends again, writes letters, drains.

    Every turn: hear what failed, look (four times a second), decide, write, send. What it has is on disk, in
    memory, or with a client; an entry's flags say which, so a turn that broke off can be taken up again.
    """

    def __init__(self, engine: Engine, settings: Settings, housing: Housing | None) -> None:
        self.desk = Desk(engine, settings, housing)
        self.housing = housing
        self.writer = self.desk.writer
        self.inbox = self.desk.inbox
        self._engine = engine
        self._settings = settings
        self._hands = Hands(self.desk)
        self._watch = Watch(self.desk)
        self._letters = Lettering(self.desk, self._hands)
        self._last: float | None = None
        self._next_tick = 0.0
        self._fresh: list[tuple[Delivery, list[Pair]]] = []
        self._waits: list[tuple[Delivery, float]] = []
        self._asked: deque[Callable[[], None]] = deque()
        self._turning = native_lock()
        """Held while the thread works, and while the process forks."""
        self._alarm = native_lock()
        self._alarm.acquire()
        self._secured = native_lock()
        self._secured.acquire()
        self._securing = False
        self._stopping = False
        self._deaths = 0
        self._doom = ""
        self._rebuilds = 0
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

    def stand_still(self, timeout: float) -> Callable[[], None]:
        """Let the thread do nothing until the function that this returns is called; waits for its turn to end
        for up to ``timeout`` seconds."""
        return self._turning.release if acquire(self._turning, timeout) else lambda: None

    @property
    def is_current(self) -> bool:
        """True on the keeper's thread."""
        return self._thread.is_current

    def ask(self, work: Callable[[], T], timeout: float) -> T:
        """Have ``work`` done on the keeper's thread, and return or raise what it does. TimeoutError."""
        done = native_lock()
        done.acquire()
        answer: list[tuple[T | None, Exception | None]] = []

        def run() -> None:
            try:
                answer.append((work(), None))
            except Exception as error:
                answer.append((None, error))
            finally:
                done.release()

        self._asked.append(run)
        self.wake()
        if not acquire(done, timeout):
            raise TimeoutError(f"the store did not answer within {timeout} s")
        result, error = answer[0]
        if error is not None:
            raise error
        return cast("T", result)

    def client_failed(self, cause: str) -> None:
        """The Kafka client says it is beyond repair."""
        self._doom = cause
        self.wake()

    def secure(self, timeout: float) -> bool:
        """Write everything that has not ended to the store, now; True when that was done in time."""
        self._securing = True
        self.wake()
        return acquire(self._secured, timeout)

    def rest(self) -> None:
        """Send nothing any more: what fails from now on stays on disk, or is lost."""
        self.desk.resting = True

    def stop(self, timeout: float) -> bool:
        """Have the thread do its last turn and end; the rest is on disk, or lost."""
        self._stopping = True
        self.wake()
        return self._thread.join(timeout)

    def still_owes(self, shelf: Shelf, seq: int) -> bool:
        """Is the row not over yet? On the keeper's thread. What is over stays on disk for a while."""
        self.writer.sort_forgotten()
        return seq not in shelf.removals and shelf.journal.get(seq) is not None

    @property
    def is_at_work(self) -> bool:
        """True while the thread runs, and not for callers that it would wait for."""
        return self._thread.is_alive and not self._stopping and not self.is_current

    def count_stored(self) -> int:
        """How many events wait in the stores, counted row by row; on the keeper's thread."""
        return self.housing.waiting() if self.housing is not None else 0

    @property
    def breakers(self) -> dict[str, str]:
        """Topics that take nothing, and why."""
        return self.desk.mind.breakers

    @property
    def store_share(self) -> float:
        """How much of the store is used up, of 1; 0 without one."""
        return 0.0 if self.housing is None else self.housing.share

    @property
    def letters(self) -> int:
        """Letters held here: in the store, or in memory."""
        return self._letters.in_memory + (self.housing.letters if self.housing else 0)

    @property
    def retried(self) -> int:
        """Hand-overs beyond an event's first."""
        return self._hands.retried + self.desk.lane.retried

    @property
    def has_work(self) -> bool:
        """True while something could still be delivered without anybody's doing."""
        desk = self.desk
        waiting = any(
            shelf.waiting(topic) and not desk.mind.is_open(topic)
            for shelf in desk.shelves
            for topic in list(shelf.journal.topics())
        )
        return bool(
            waiting or self.inbox or self._engine.gate.intake or not self._hands.is_idle or desk.lane.owes
        )

    # -- the loop

    def _run(self) -> None:
        while not self._stopping:
            try:
                with self._turning:
                    self._open_store()
                    more = self._turn()
                self._alarm.acquire(timeout=0 if more else self._pause())
            except BaseException as error:
                self._deaths += 1
                self._engine.keeper_stumbled(error, last=self._deaths >= _LAST_DEATH)
                time.sleep(TICK)
                self._recover()
        with self._turning:
            self._end()

    def _pause(self) -> float:
        desk = self.desk
        if desk.lane.is_busy:
            return _SOON
        dues = [due for due in (self._hands.next_due, desk.lane.next_due) if due is not None]
        return max(_SOON, min(min([self._next_tick, *dues]) - desk.now, TICK))

    def _turn(self) -> bool:
        desk, gate = self.desk, self._engine.gate
        now = self._advance()
        rebuilds = self._engine.rebuilds  # read first: all reports of the old client came before
        if self._doom:
            doom, self._doom = self._doom, ""
            desk.mind.doomed(doom)
        self._answer()
        failures = self._failures()
        for ended in desk.lane.serve(now, send=not desk.resting):
            failures += self._errand_ended(ended)
        looks = self._tick() if now >= self._next_tick or self._securing else None
        for action in desk.mind.step(now, failures, looks):
            self._do(action)
        if rebuilds != self._rebuilds:
            self._rebuilds = rebuilds
            desk.mind.rebuilt()
        self._fresh += gate.empty(_TAKEN)
        self._write()
        drained = False
        if not desk.resting:
            drained = self._hands.drain()
            self._hands.send_again()
            self._letters.post()
        self._update_gate()
        return drained or bool(self.inbox or gate.intake or self._asked)

    def _answer(self) -> None:
        while self._asked:
            self._asked.popleft()()

    def _advance(self) -> float:
        """A machine that was suspended is not an outage (ENGINE R13)."""
        real = time.monotonic()
        if self._last is not None:
            self.desk.now += min(real - self._last, 2 * TICK)
        self._last = real
        return self.desk.now

    def _tick(self) -> dict[str, Look]:
        now = self.desk.now
        self._next_tick = now + TICK
        self._engine.on_tick(now)
        self.writer.tick(now)
        if self.housing is not None and not self._securing:
            self.housing.adopt(now)
            self.housing.trim()
            self._letters.retire()
        return self._watch.look(copy_all=self._securing)

    def _failures(self) -> list[Failure]:
        failures = []
        for _ in range(len(self.inbox)):
            entry, attempt, kafka_error, reason = self.inbox.popleft()
            if entry.ended or entry.waiting or attempt != entry.attempts:  # told before, in another way
                continue
            entry.waiting = True
            self.desk.note(entry, kafka_error, reason)
            failures.append(self._failure(entry, kafka_error, resends=entry.attempts - 1))
        return failures

    def _failure(self, entry: Delivery, kafka_error: str, *, resends: int) -> Failure:
        now = self.desk.now
        if answered(kafka_error):
            self._letters.answered_at = now
        return Failure(
            entry=entry,
            topic=entry.topic,
            kafka_error=kafka_error,
            resends=resends,
            age=now - (entry.born or now),
            has_timestamp=entry.timestamp > 0,
        )

    def _errand_ended(self, ended: Ended) -> list[Failure]:
        errand, entry = ended.errand, ended.errand.entry
        if not ended.kafka_error:
            self._letters.answered_at = self.desk.now
        if errand.kind is Kind.LETTER:
            self._letters.ended(ended)
            return []
        assert entry is not None
        if errand.kind is Kind.PROBE:
            self._watch.probing.discard(entry.topic)
        else:
            self._hands.suspects -= 1
        if not ended.kafka_error:
            self._delivered_alone(entry, ended)
            return []
        self.desk.note(entry, ended.kafka_error, ended.reason)
        failure = self._failure(entry, ended.kafka_error, resends=errand.resends)
        failure.careful, failure.answers = True, errand.answers
        failure.suspect = errand.kind is Kind.SUSPECT
        return [failure]

    def _delivered_alone(self, entry: Delivery, ended: Ended) -> None:
        engine = self._engine
        entry.acknowledged(ended.partition, ended.offset, ended.timestamp)
        engine.ledger.delivered_alone += 1
        if entry.seq:
            self.writer.forget(entry)
        engine.gate.lower_bucket(entry)
        engine.waking.wake(entry)
        for action in self.desk.mind.closed(entry.topic):
            self._do(action)

    # -- doing

    def _do(self, action: Action) -> None:
        if isinstance(action, Decision):
            self._decide(action)
        elif isinstance(action, BreakerChanged):
            self._engine.ledger.gather_acked()  # or what is sent again is there before the next look
            self._engine.breaker_changed(action.topic, action.cause)
        elif isinstance(action, Probe):
            if self._hands.probe(action.topic):
                self._watch.probing.add(action.topic)
        else:
            self._engine.rebuild(action.cause)

    def _decide(self, decision: Decision) -> None:
        failure, entry, desk = decision.failure, decision.failure.entry, self.desk
        due = desk.now + decision.delay
        if decision.do is Do.EXAMINE:
            if decision.without_timestamp:
                entry.timestamp = 0
            self._hands.examine(entry, due, answers=failure.answers, resends=failure.resends + 1)
        elif decision.do is Do.WAIT and entry.on_disk:
            desk.shelve(entry, due)
        elif decision.do is Do.WAIT and self.writer.is_ready:
            if not entry.seq:
                self.writer.add(entry, entry.record_headers(), desk.now)
            self._waits.append((entry, due))
        elif decision.do is Do.LETTER:
            self._letters.write(entry)
        elif decision.do is Do.LOSE:
            self._engine.lose(entry)
        else:
            self._hands.send_at(due, entry)

    # -- writing

    def _open_store(self) -> None:
        """Make this process's journal, or try again."""
        if self.housing is None or self.writer.shelf is not None or not self.writer.may_try(self.desk.now):
            return
        try:
            self.writer.opened(self.housing.open())
        except JournalError as error:
            self.writer.failed(error, self.desk.now)

    def _write(self) -> None:
        """One commit for all that came together in this turn; only then the fresh ones go on."""
        writer, desk, gate = self.writer, self.desk, self._engine.gate
        fresh, self._fresh = self._fresh, []
        if self.housing is None:
            return
        for entry, headers in fresh:
            if not entry.seq:
                writer.add(entry, headers, desk.now)
        added, letters = writer.commit(desk.now, desk.shelves)
        gate.unstorable = None if writer.is_ready else writer.refusal
        if not writer.is_ready:
            self._unprotected(fresh)
        else:
            for entry, _ in letters:
                self._letters.safe(entry)
            waits, self._waits = self._waits, []
            for entry, due in waits:
                if not entry.ended:
                    desk.shelve(entry, due)
            for entry in added:
                if entry._safe_waiters is not None:
                    self._engine.waking.wake_safe(entry)
                if not entry.waiting and desk.now - entry.born >= self._settings.store_after:
                    desk.settle_stored(entry)
            self._hands.hand_over(fresh)
        if self._securing and self._watch.all_copied and not (gate.intake or self.inbox):
            with contextlib.suppress(RuntimeError):
                self._secured.release()

    def _unprotected(self, fresh: list[tuple[Delivery, list[Pair]]]) -> None:
        for entry, row in self.writer.give_up():
            self._letters.keep_in_memory(entry, row)
        waits, self._waits = self._waits, []
        for entry, due in waits:
            self._hands.send_at(due, entry)
        self._hands.unprotected(fresh)

    def _update_gate(self) -> None:
        gate, housing = self._engine.gate, self.housing
        if housing is None:
            return
        housing.count()
        gate.refusal = housing.refusal if housing.is_full else None
        gate.shut(self.desk.mind.breakers, self._watch.blocked)
        if (
            self._engine.ledger.is_idle
            and not self.inbox
            and not (self.writer.shelf and self.writer.shelf.journal.events)
        ):
            gate.forget_counts()
        self._engine.route()

    # -- breaking off

    def _recover(self) -> None:
        """A turn broke off: find again what it had in hand, by what the entries and the journal say."""
        desk = self.desk
        self._waits, self._fresh = [], []
        self.writer.give_up()
        self._hands.start_afresh()
        self._letters.start_afresh()
        self._watch.probing.clear()
        desk.start_lane_afresh()
        in_intake = {id(entry) for entry in self._engine.gate.waiting()}
        for entry in self._engine.ledger.open_entries():
            if entry.waiting and id(entry) not in in_intake:
                entry.maybe_sent = True
                if entry.on_disk:
                    desk.shelve(entry, None)
                else:
                    self._hands.send_at(desk.now, entry)

    def _end(self) -> None:
        """The last turn: what has not ended goes to disk, and the disk is given up."""
        try:
            self._last_turn()
        except BaseException as error:
            self._engine.keeper_stumbled(error, last=True)
        finally:
            if self.housing is not None:
                self.housing.close()

    def _last_turn(self) -> None:
        desk = self.desk
        self._advance()
        self._answer()
        for ended in desk.lane.close():
            self._errand_ended(ended)
        self._failures()
        self._engine.gate.empty(_EVERYTHING)
        entries = self._engine.ledger.open_entries()
        if self.housing is None:
            return
        for entry in entries:
            if entry.handed and not entry.seq:
                self.writer.add(entry, entry.record_headers(), desk.now)
        _, letters = self.writer.commit(desk.now, desk.shelves)
        for entry, _ in letters:
            self._letters.safe(entry)
        for entry in entries:
            if entry.on_disk and not entry.ended:
                desk.shelve(entry, None)
        self.housing.count()
