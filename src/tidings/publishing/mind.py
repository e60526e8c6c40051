"""The keeper's mind: what to do about failures and outages.

Pure: the time, the facts and the randomness are given to it, and what it returns is done by the keeper. It
knows entries only as what failures are about. Its clock is the keeper's: it does not move while the machine
is suspended (ENGINE R13).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from tidings.kafka.outcomes import Outcome, classify

LOST_REPORT = "_LOST_REPORT"
"""The client let go of the record and said nothing: a signal handler ate the report, or it was rebuilt."""
SILENT = "silent"
"""Why a breaker is open: nothing of the topic was acknowledged for OUTAGE_AFTER."""
_WATCH = 1.0
"""Seconds in which a topic with an old entry may still show that other partitions are acknowledged."""
_LONGEST_REBUILD_PAUSE = 60.0


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The settings the mind decides by; times in seconds."""

    stores: bool
    retry_max: int = 3
    backoff: float = 0.1
    backoff_max: float = 30.0
    outage_after: float = 10.0
    delivery_timeout: float = 120.0

    @property
    def patience(self) -> float:
        """An unacknowledged entry of this age makes its topic suspicious; always before it times out."""
        return min(self.outage_after, self.delivery_timeout / 2)


class Failure(msgspec.Struct, kw_only=True):
    """One hand-over that ended without an acknowledgement."""

    entry: Any
    topic: str
    kafka_error: str
    careful: bool = False
    """It went alone, through the careful client."""
    suspect: bool = False
    """A refusal of it is being examined."""
    answers: int = 0
    """Refusals that a broker gave to this event alone, before this one."""
    resends: int = 0
    age: float = 0.0
    has_timestamp: bool = False
    """The user gave the record a timestamp."""


class Look(msgspec.Struct, kw_only=True):
    """What is to be seen of one topic at this moment."""

    oldest: float = 0.0
    """Age of the oldest entry the client has not reported on; 0 without one."""
    in_client: bool = False
    acked: bool = False
    """Something was acknowledged since the last look."""
    waiting: bool = False
    """Something is in the store and could be sent."""
    probing: bool = False


class Do(StrEnum):
    """What becomes of a failure's entry."""

    WAIT = "wait"
    """It goes to the store, or stays there, until the topic takes events again."""
    EXAMINE = "examine"
    """It is sent alone, through the careful client, after ``delay``."""
    RESEND = "resend"
    """It is sent again from memory, after ``delay``."""
    LETTER = "letter"
    LOSE = "lose"


class Decision(msgspec.Struct):
    """What to do about one failure."""

    do: Do
    failure: Failure
    delay: float = 0.0
    without_timestamp: bool = False
    """The timestamp was refused, alone: it is sent once more without it, as Kafka's rules apply then."""


class Probe(msgspec.Struct):
    """Send one stored event of the topic alone, to see whether Kafka takes it."""

    topic: str


class BreakerChanged(msgspec.Struct):
    """A topic's circuit breaker opened (``cause`` says why) or closed (``cause`` is empty)."""

    topic: str
    cause: str


class Rebuild(msgspec.Struct):
    """The client is beyond repair: account for what it has, and make a new one."""

    cause: str


Action = Decision | Probe | BreakerChanged | Rebuild


class _Breaker(msgspec.Struct):
    cause: str
    probes: int = 0
    next_probe: float = 0.0


class Mind:
    """Holds the circuit breakers, and decides what becomes of each failure."""

    def __init__(self, policy: Policy, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng
        self._breakers: dict[str, _Breaker] = {}
        self._watched: dict[str, float] = {}
        self._heard: dict[str, float] = {}
        self._doom = ""
        self._rebuilding = False
        self._rebuilds = 0
        self._next_rebuild = 0.0

    @property
    def patience(self) -> float:
        """An unacknowledged entry of this age, in seconds, makes its topic suspicious."""
        return self._policy.patience

    @property
    def breakers(self) -> dict[str, str]:
        """The topics whose breaker is open, each with the cause."""
        return {topic: breaker.cause for topic, breaker in self._breakers.items()}

    @property
    def is_watching(self) -> bool:
        """True while acknowledgements have to be told topic by topic."""
        return bool(self._breakers or self._watched)

    def is_open(self, topic: str) -> bool:
        """True while the topic takes nothing."""
        return topic in self._breakers

    def watches(self, topic: str) -> bool:
        """True while a look at the topic is wanted at every step."""
        return topic in self._breakers or topic in self._watched

    def step(
        self, now: float, failures: Iterable[Failure], looks: Mapping[str, Look] | None = None
    ) -> list[Action]:
        """What to do, given what failed since the last step, and, when somebody looked, what was seen."""
        actions: list[Action] = []
        if looks is not None:  # before the failures: an acknowledgement closes, a refusal opens
            for topic, look in looks.items():
                self._look(now, topic, look, actions)
            for topic in [topic for topic in self._watched if topic not in looks]:
                del self._watched[topic]
                self._heard.pop(topic, None)
        for failure in failures:
            self._judge(failure, actions)
        if self._doom and now >= self._next_rebuild:
            actions.append(self._rebuild(now))
        return actions

    def doomed(self, cause: str) -> None:
        """The client said that it is beyond repair: rebuild it, at most once in each back-off step."""
        if not self._rebuilding:
            self._doom = self._doom or cause

    def rebuilt(self) -> None:
        """There is a new client; what fails from now on is its own."""
        self._rebuilding = False

    def opened(self, topic: str, cause: str) -> list[Action]:
        """Open a topic's breaker; nothing if it is open already."""
        if topic in self._breakers:
            return []
        self._breakers[topic] = _Breaker(cause)
        return [BreakerChanged(topic, cause)]

    def closed(self, topic: str) -> list[Action]:
        """Something of the topic was acknowledged: close its breaker, if it is open."""
        if self._breakers.pop(topic, None) is None:
            return []
        return [BreakerChanged(topic, "")]

    def back_off(self, times: int) -> float:
        """Seconds to wait before doing something for the ``times``-th time again: full jitter."""
        most = min(self._policy.backoff_max, self._policy.backoff * 2.0 ** min(times, 32))
        return self._rng.uniform(0, most)

    def _look(self, now: float, topic: str, look: Look, actions: list[Action]) -> None:
        breaker = self._breakers.get(topic)
        if look.acked:
            self._heard[topic] = now
            actions += self.closed(topic)
            self._rebuilds = 0
        elif breaker is not None:
            if look.waiting and not look.in_client and not look.probing and now >= breaker.next_probe:
                breaker.probes += 1
                breaker.next_probe = now + self.back_off(breaker.probes)
                actions.append(Probe(topic))
            return
        if not look.in_client or look.oldest < self._policy.patience:
            self._watched.pop(topic, None)
            return
        since = self._watched.setdefault(topic, now)
        if now - max(since, self._heard.get(topic, since)) >= _WATCH:
            actions += self.opened(topic, SILENT)

    def _judge(self, failure: Failure, actions: list[Action]) -> None:
        outcome = classify(failure.kafka_error)
        if outcome is Outcome.FATAL:
            if not failure.careful:
                self.doomed(failure.kafka_error)
        elif outcome is Outcome.HOLD:
            actions += self.opened(failure.topic, failure.kafka_error)
        actions.append(self._decision(failure, outcome))

    def _decision(self, failure: Failure, outcome: Outcome) -> Decision:
        if outcome is Outcome.SUSPECT:
            return self._verdict(failure)
        policy, is_lost_report = self._policy, failure.kafka_error == LOST_REPORT
        delay = 0.0 if is_lost_report else self.back_off(failure.resends)
        if failure.suspect:  # no answer: no attempt is burned, and only the careful client may try again
            return Decision(Do.EXAMINE, failure, delay)
        if policy.stores:
            return Decision(Do.WAIT, failure, delay)
        used_up = failure.resends >= policy.retry_max and not is_lost_report
        if used_up or failure.age >= 2 * policy.delivery_timeout:
            return Decision(Do.LOSE, failure)
        return Decision(Do.RESEND, failure, delay)

    def _verdict(self, failure: Failure) -> Decision:
        if not failure.careful:
            return Decision(Do.EXAMINE, failure)
        if failure.kafka_error == "INVALID_TIMESTAMP" and failure.has_timestamp:
            return Decision(Do.EXAMINE, failure, without_timestamp=True)
        failure.answers += 1
        if failure.answers >= self._policy.retry_max:
            return Decision(Do.LETTER, failure)
        return Decision(Do.EXAMINE, failure, self.back_off(failure.answers))

    def _rebuild(self, now: float) -> Rebuild:
        cause, self._doom, self._rebuilding = self._doom, "", True
        self._rebuilds += 1
        self._next_rebuild = now + min(2.0 ** (self._rebuilds - 1), _LONGEST_REBUILD_PAUSE)
        return Rebuild(cause)
