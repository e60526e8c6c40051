"""Letters straight to the handlers of a consumer, in this process: no topic and no offset is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidings.kafka.taken import TakenLetter
from tidings.letters.letter import DeadLetter
from tidings.letters.replay_batch import Batch, rejected_again
from tidings.letters.replay_parts import LetterHandlers

if TYPE_CHECKING:
    from tidings.letters.replay_run import ReplayRun


class ToHandlers:
    """Has the events of a run's letters handled. What is rejected is parked, with the new reason."""

    def __init__(self, run: ReplayRun, handlers: LetterHandlers, patience: float) -> None:
        self.window = handlers.most
        self._run = run
        self._handlers = handlers
        self._patience = patience

    def take(self, taken: TakenLetter, letter: DeadLetter, batch: Batch) -> None:
        """One more of the batch."""
        batch.to_handle.append((taken, letter))

    def finish(self, batch: Batch) -> None:
        """Have them handled."""
        letters = [letter for _, letter in batch.to_handle]
        outcomes = self._handlers.handle(letters, self._patience, self._run.stopping)
        for (taken, letter), outcome in zip(batch.to_handle, outcomes, strict=True):
            if outcome.end == "handled":
                self._run.replayed(taken, letter, batch, "handled", attempts=outcome.attempts)
            elif outcome.end == "rejected":
                batch.to_park.append((taken, letter, rejected_again(taken, outcome)))
                self._run.problem(taken, f"parked: {outcome.reason}")
            elif outcome.end == "not_begun":
                self._run.pass_by(taken, batch)
                self._run.stopped = self._run.stopped or outcome.reason
            else:
                self._run.fail(taken, batch, outcome.reason)
                if outcome.end == "stopped":
                    self._run.stopped = outcome.reason

    def close(self) -> None:
        """The run is over."""
        self._handlers.close()
