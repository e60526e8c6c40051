"""One run of a replay: batch after batch is examined, sent, waited for, noted down and settled."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tidings.errors import DecodeError, DeliveryError, PublisherClosed, PublisherFailed, PublishError
from tidings.events.ids import Stamper
from tidings.kafka.taken import TakenLetter
from tidings.letters.letter import DeadLetter
from tidings.letters.replay_batch import Batch, replay_headers
from tidings.letters.replay_parts import Sent
from tidings.letters.replay_report import Histogram, ReplayReport, nothing_matched
from tidings.states import Receipt, State

if TYPE_CHECKING:
    from tidings.letters.replay import Replay

_WINDOW = 500
_PACED_WINDOW = 1.0
"""Seconds of sending in a batch, at most: what a killed run repeats, and others wait for their share."""
_RETRY = 0.1
_MOST_PROBLEMS = 100


class ReplayRun:
    """The state of one run; its batches settle before the next is taken, so nothing is in flight then."""

    def __init__(self, replay: Replay) -> None:
        self.run_id = Stamper(lambda: None)()[0].decode()
        self.key = self.run_id.encode()
        self.stopped = ""
        self._replay = replay
        self._counts: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._problems: list[str] = []
        self._next_send = 0.0

    def work(self) -> None:
        """Work through the letters. Raises TidingsError when the source fails."""
        source, rate = self._replay.source, self._replay.rate
        window = _WINDOW if rate is None else max(1, min(_WINDOW, int(rate * _PACED_WINDOW)))
        while not self._is_enough() and (letters := source.take(window)) is not None:
            batch = Batch()
            for taken in letters:
                if self._is_enough():
                    break
                self._examine(taken, batch)
            self._park(batch)
            self._await(batch)
            source.finish(batch.settled, batch.left)

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
        if taken.value in batch.values or self._replay.source.is_settled(taken):
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
            self._fail(
                taken, batch, f"its topic {letter.topic} is a dead-letter topic: nothing is sent there"
            )
        elif letter.replay_count >= self._replay.max_replays:
            batch.to_park.append((taken, letter))
        else:
            self._send(taken, letter, batch)
        batch.values.add(taken.value)

    def _send(self, taken: TakenLetter, letter: DeadLetter, batch: Batch) -> None:
        self._pace()
        end = time.monotonic() + self._replay.patience
        while True:
            try:
                sent = self._replay.publisher._replay(
                    letter.topic,
                    letter.value,
                    letter.key,
                    replay_headers(letter),
                    letter.event_id,
                    letter.partition if letter.origin == "publisher" else None,
                )
            except PublishError as error:
                if error.retriable and time.monotonic() < end and not self._replay.stopping.wait(_RETRY):
                    continue
                self._fail(taken, batch, str(error))
                if error.retriable or isinstance(error, PublisherClosed | PublisherFailed):
                    self.stopped = str(error)
            else:
                batch.sent.append((taken, letter, sent))
            return

    def _pace(self) -> None:
        if self._replay.rate is not None:
            now = time.monotonic()
            if now < self._next_send:
                self._replay.stopping.wait(self._next_send - now)
            self._next_send = max(self._next_send, now) + 1 / self._replay.rate

    def _park(self, batch: Batch) -> None:
        if batch.to_park:
            self._replay.source.park([taken for taken, _ in batch.to_park])
        for taken, letter in batch.to_park:
            self._counts["parked"] += 1
            self._settle(taken, letter, batch, "parked")

    def _await(self, batch: Batch) -> None:
        """Wait for the acknowledgements, all of them together for as long as patience lasts."""
        end = time.monotonic() + self._replay.patience
        stored: list[tuple[TakenLetter, DeadLetter]] = []
        for taken, letter, sent in batch.sent:
            try:
                receipt = sent.wait(max(0.0, end - time.monotonic()))
            except TimeoutError:
                self._fail(taken, batch, "Kafka has not acknowledged it in time")
                self.stopped = f"Kafka acknowledges nothing: waited {self._replay.patience:.0f} s."
            except DeliveryError as error:
                self._undelivered(taken, letter, sent, batch, error)
            else:
                if receipt.state is State.DELIVERED:
                    self._replayed(taken, letter, batch, receipt)
                elif receipt.state is State.STORED:
                    stored.append((taken, letter))
                else:
                    self._fail(taken, batch, f"the publisher has {receipt.state} it")
                    self.stopped = f"The publisher has {receipt.state} an event instead of sending it."
        if stored:
            self._await_stored(stored, batch, end)

    def _await_stored(self, stored: list[tuple[TakenLetter, DeadLetter]], batch: Batch, end: float) -> None:
        """What the store took ends when Kafka takes events again: delivered, or a new letter."""
        ended = self._replay.publisher.flush(max(0.0, end - time.monotonic()))
        for taken, letter in stored:
            if ended:
                self._replayed(taken, letter, batch, None)
            else:
                self._fail(taken, batch, "it is in the publisher's store, and will be sent from there")
        if not ended:
            self.stopped = (
                f"Kafka is away: {len(stored)} events wait in the publisher's store and will be sent from "
                "there. The next run replays them once more, under the same event_id."
            )

    def _replayed(
        self, taken: TakenLetter, letter: DeadLetter, batch: Batch, receipt: Receipt | None
    ) -> None:
        self._counts["replayed"] += 1
        if receipt is None:
            self._settle(taken, letter, batch, "replayed")
        else:
            self._settle(taken, letter, batch, "replayed", partition=receipt.partition, offset=receipt.offset)

    def _undelivered(
        self, taken: TakenLetter, letter: DeadLetter, sent: Sent, batch: Batch, error: DeliveryError
    ) -> None:
        if sent.state is not State.DEAD_LETTERED:
            self._fail(taken, batch, str(error))
            self.stopped = str(error)
            return
        self._counts["failed"] += 1
        self._problem(taken, f"it is a letter again, {error.letter_id}: {error}")
        self._settle(taken, letter, batch, "dead_lettered", new_letter_id=error.letter_id)

    # -- the books

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
            **more,
        }
        batch.settled.append((taken, self._note(action, **facts)))
        self._replay.logger.info(
            f"letter {action} letter_id={letter.letter_id} event_id={letter.event_id} topic={letter.topic} "
            f"from={taken.place} who={self._replay.who} replay={self.run_id}"
        )

    def _fail(self, taken: TakenLetter, batch: Batch, problem: str) -> None:
        self._counts["failed"] += 1
        self._leave(taken, batch, problem)

    def _leave(self, taken: TakenLetter, batch: Batch, problem: str) -> None:
        self._problem(taken, problem)
        batch.left.append(taken)

    def _problem(self, taken: TakenLetter, problem: str) -> None:
        self._replay.logger.warning(f"letter at {taken.place}: {problem}")
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(f"{taken.place}: {problem}")

    def _note(self, action: str, **facts: object) -> bytes:
        who = {"action": action, "at": datetime.now(UTC), "who": self._replay.who, "run_id": self.run_id}
        return msgspec.json.encode({**who, "name": self._replay.name, **facts})

    def _tally(self, report: ReplayReport) -> str:
        return (
            f"{report.replayed} replayed, {report.failed} failed, {report.parked} parked of {report.matched} "
            f"that match ({self._replay.filter}); {report.skipped} passed over, {report.duplicates} settled "
            f"before, {report.unreadable} unreadable."
        )
