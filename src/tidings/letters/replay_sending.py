"""Letters back to their topic: sent by a publisher, and waited for together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tidings.errors import DeliveryError, PublisherClosed, PublisherFailed, PublishError
from tidings.kafka.taken import TakenLetter
from tidings.letters.letter import DeadLetter
from tidings.letters.replay_batch import Batch, replay_headers
from tidings.letters.replay_parts import ReplaySender, Sent
from tidings.states import State

if TYPE_CHECKING:
    from tidings.letters.replay_run import ReplayRun

_WINDOW = 500
_RETRY = 0.1


class ToTopic:
    """Sends the events of a run's letters; every group of their topics sees them."""

    window = _WINDOW

    def __init__(self, run: ReplayRun, publisher: ReplaySender, patience: float) -> None:
        self._run = run
        self._publisher = publisher
        self._patience = patience

    def take(self, taken: TakenLetter, letter: DeadLetter, batch: Batch) -> None:
        """Send one."""
        end = time.monotonic() + self._patience
        while True:
            try:
                sent = self._publisher._replay(
                    letter.topic,
                    letter.value,
                    letter.key,
                    replay_headers(letter),
                    letter.event_id,
                    letter.partition if letter.origin == "publisher" else None,
                )
            except PublishError as error:
                if error.retriable and time.monotonic() < end and not self._run.stopping.wait(_RETRY):
                    continue
                self._run.fail(taken, batch, str(error))
                if error.retriable or isinstance(error, PublisherClosed | PublisherFailed):
                    self._run.stopped = str(error)
            else:
                batch.sent.append((taken, letter, sent))
            return

    def finish(self, batch: Batch) -> None:
        """Wait for the acknowledgements, all of them together for as long as patience lasts."""
        end = time.monotonic() + self._patience
        stored: list[tuple[TakenLetter, DeadLetter]] = []
        for taken, letter, sent in batch.sent:
            try:
                receipt = sent.wait(max(0.0, end - time.monotonic()))
            except TimeoutError:
                self._run.fail(taken, batch, "Kafka has not acknowledged it in time")
                self._run.stopped = f"Kafka acknowledges nothing: waited {self._patience:.0f} s."
            except DeliveryError as error:
                self._undelivered(taken, letter, sent, batch, error)
            else:
                if receipt.state is State.DELIVERED:
                    place = {"partition": receipt.partition, "offset": receipt.offset}
                    self._run.replayed(taken, letter, batch, "replayed", **place)
                elif receipt.state is State.STORED:
                    stored.append((taken, letter))
                else:
                    self._run.fail(taken, batch, f"the publisher has {receipt.state} it")
                    self._run.stopped = f"The publisher has {receipt.state} an event instead of sending it."
        if stored:
            self._await_stored(stored, batch, end)

    def close(self) -> None:
        """Nothing to let go of: the publisher is somebody else's."""

    def _await_stored(self, stored: list[tuple[TakenLetter, DeadLetter]], batch: Batch, end: float) -> None:
        """What the store took ends when Kafka takes events again: delivered, or a new letter."""
        ended = self._publisher.flush(max(0.0, end - time.monotonic()))
        for taken, letter in stored:
            if ended:
                self._run.replayed(taken, letter, batch, "replayed")
            else:
                self._run.fail(taken, batch, "it is in the publisher's store, and will be sent from there")
        if not ended:
            self._run.stopped = (
                f"Kafka is away: {len(stored)} events wait in the publisher's store and will be sent from "
                "there. The next run replays them once more, under the same event_id."
            )

    def _undelivered(
        self, taken: TakenLetter, letter: DeadLetter, sent: Sent, batch: Batch, error: DeliveryError
    ) -> None:
        if sent.state is State.DEAD_LETTERED:
            self._run.lettered(taken, letter, batch, error)
        else:
            self._run.fail(taken, batch, str(error))
            self._run.stopped = str(error)
