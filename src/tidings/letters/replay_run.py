"""One run of a replay: batch after batch is examined, sent, waited for, noted down and settled."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tidings.errors import DecodeError, DeliveryError, TidingsError
from tidings.events.ids import Stamper
from tidings.kafka.taken import TakenLetter
from tidings.letters.letter import DeadLetter
from tidings.letters.replay_batch import Batch, made_whole
from tidings.letters.replay_handling import ToHandlers
from tidings.letters.replay_parts import LetterHandlers
from tidings.letters.replay_report import Histogram, ReplayReport, nothing_matched
from tidings.letters.replay_sending import ToTopic

if TYPE_CHECKING:
    from tidings.letters.replay import Replay

_PACED_WINDOW = 1.0
"""Seconds of sending in a batch, at most: what a killed run repeats, and others wait for their share."""
_MOST_PROBLEMS = 100


class ReplayRun:
    """The state of one run; its batches settle before the next is taken, so nothing is in flight then."""

    def __init__(self, replay: Replay, handlers: LetterHandlers | None) -> None:
        self.run_id = Stamper(lambda: None)()[0].decode()
        self.key = self.run_id.encode()
        self.stopped = ""
        self.stopping = replay.stopping
        self._replay = replay
        self._way: ToTopic | ToHandlers
        if handlers is not None:
            self._way = ToHandlers(self, handlers, replay.patience)
        elif replay.publisher is not None:
            self._way = ToTopic(self, replay.publisher, replay.patience)
        self._counts: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._problems: list[str] = []
        self._next_send = 0.0

    def work(self) -> None:
        """Work through the letters. Raises TidingsError when the source fails."""
        source, rate, window = self._replay.source, self._replay.rate, self._way.window
        if rate is not None:
            window = max(1, min(window, int(rate * _PACED_WINDOW)))
        while not self._is_enough() and (letters := source.take(window)) is not None:
            batch = Batch()
            for taken in letters:
                if self._is_enough():
                    break
                self._examine(taken, batch)
            self._way.finish(batch)
            self._park(batch)
            source.finish(batch.settled, batch.left)

    def close(self) -> None:
        """The run is over."""
        self._way.close()

    def report(self) -> ReplayReport:
        """What the run did."""
        counts: dict[str, Any] = dict(self._counts)
        report = ReplayReport(
            run_id=self.run_id, stopped=self.stopped, problems=tuple(self._problems), **counts
        )
        if report.stopped:
            return report.saying(f"Stopped: {report.stopped} {self._tally(report)}")
        if not report.matched:
            return report.saying(nothing_matched(report, str(self._replay.filter), self._seen))
        return report.saying(self._tally(report))

    def note(self, action: str) -> bytes:
        """A line about the run for the record of replays."""
        return self._note(action, filter=str(self._replay.filter), counts=dict(self._counts))

    # -- a batch

    def _is_enough(self) -> bool:
        if self._replay.stopping.is_set():
            self.stopped = self.stopped or "it was told to."
        limit = self._replay.limit
        return bool(self.stopped) or (limit is not None and self._counts["matched"] >= limit)

    def _examine(self, taken: TakenLetter, batch: Batch) -> None:
        self._counts["considered"] += 1
        if taken.identity.key in batch.keys or self._replay.source.is_settled(taken):
            self._counts["duplicates"] += 1
            batch.settled.append((taken, None))
            return
        try:
            letter = DeadLetter.decode(taken.value)
        except DecodeError as error:
            self._counts["unreadable"] += 1
            self._leave(taken, batch, str(error))
            return
        if not self._replay.filter(letter):
            self._counts["skipped"] += 1
            Histogram.count(self._seen, letter.error_code)
            batch.left.append(taken)
            return
        self._counts["matched"] += 1
        if letter.topic in self._replay.source.topics:
            self.fail(taken, batch, f"its topic {letter.topic} is a dead-letter topic: nothing is sent there")
        elif letter.replay_count >= self._replay.max_replays:
            batch.to_park.append((taken, letter, taken))
        elif (whole := self._whole(taken, letter, batch)) is not None:
            self._pace()
            self._way.take(taken, whole, batch)
        batch.keys.add(taken.identity.key)

    def _pace(self) -> None:
        if self._replay.rate is not None:
            now = time.monotonic()
            if now < self._next_send:
                self._replay.stopping.wait(self._next_send - now)
            self._next_send = max(self._next_send, now) + 1 / self._replay.rate

    def _whole(self, taken: TakenLetter, letter: DeadLetter, batch: Batch) -> DeadLetter | None:
        """The letter with its event, which is fetched where it was left out; None: it failed for that."""
        if not letter.event_left_out or letter.partition is None or letter.offset is None:
            return letter
        place = f"{letter.topic}[{letter.partition}]@{letter.offset}"
        try:
            origin = self._replay.source.origin(letter.topic, letter.partition, letter.offset)
        except TidingsError as error:
            self.fail(taken, batch, f"its event, at {place}, cannot be fetched: {error}")
            if error.retriable:
                self.stopped = str(error)
            return None
        whole = made_whole(letter, origin) if origin is not None else None
        if whole is None:
            self.fail(taken, batch, f"its event was too large for the letter, and is no more at {place}")
        return whole

    def _park(self, batch: Batch) -> None:
        if not batch.to_park:
            return
        try:
            self._replay.source.park([parked for _, _, parked in batch.to_park])
        except TidingsError as error:  # what was replayed beside them has to be settled all the same
            for taken, _, _ in batch.to_park:
                self.fail(taken, batch, f"it cannot be parked: {error}")
            self.stopped = str(error)
            return
        for taken, letter, _ in batch.to_park:
            self._counts["parked"] += 1
            self._settle(taken, letter, batch, "parked")

    # -- the books

    def replayed(
        self, taken: TakenLetter, letter: DeadLetter, batch: Batch, action: str, **more: object
    ) -> None:
        """Its event is where it should be."""
        self._counts["replayed"] += 1
        self._settle(taken, letter, batch, action, **more)

    def lettered(self, taken: TakenLetter, letter: DeadLetter, batch: Batch, error: DeliveryError) -> None:
        """Its event has become a new letter."""
        self._counts["failed"] += 1
        self.problem(taken, f"it is a letter again, {error.letter_id}: {error}")
        self._settle(taken, letter, batch, "dead_lettered", new_letter_id=error.letter_id)

    def fail(self, taken: TakenLetter, batch: Batch, problem: str) -> None:
        """Nothing came of it: it stays."""
        self._counts["failed"] += 1
        self._leave(taken, batch, problem)

    def pass_by(self, taken: TakenLetter, batch: Batch) -> None:
        """The run ends before this one: as if it had not been seen."""
        self._counts.subtract({"considered": 1, "matched": 1})
        batch.left.append(taken)

    def problem(self, taken: TakenLetter, problem: str) -> None:
        """Say what is wrong with a letter."""
        self._replay.logger.warning(f"letter at {taken.place}: {problem}")
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(f"{taken.place}: {problem}")

    def _settle(
        self, taken: TakenLetter, letter: DeadLetter, batch: Batch, action: str, **more: object
    ) -> None:
        facts = {
            "letter_id": letter.letter_id,
            "event_id": letter.event_id,
            "topic": letter.topic,
            "error_code": letter.error_code,
            "replay_count": letter.replay_count + (action != "parked"),
            "letter": taken.place,
            "first_attempt": letter.first_attempt,
            **more,
        }
        batch.settled.append((taken, self._note(action, **facts)))
        self._replay.logger.info(
            f"letter {action} letter_id={letter.letter_id} event_id={letter.event_id} topic={letter.topic} "
            f"from={taken.place} who={self._replay.who} replay={self.run_id}"
        )

    def _leave(self, taken: TakenLetter, batch: Batch, problem: str) -> None:
        self.problem(taken, problem)
        batch.left.append(taken)

    def _note(self, action: str, **facts: object) -> bytes:
        who = {"action": action, "at": datetime.now(UTC), "who": self._replay.who, "run_id": self.run_id}
        return msgspec.json.encode({**who, "name": self._replay.name, **facts})

    def _tally(self, report: ReplayReport) -> str:
        return (
            f"{report.replayed} replayed, {report.failed} failed, {report.parked} parked of {report.matched} "
            f"that match ({self._replay.filter}); {report.skipped} passed over, {report.duplicates} settled "
            f"before, {report.unreadable} unreadable."
        )
