"""What a replay would do, and what it did: plain values for people and programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Self

import msgspec

from tidings.letters.letter import DeadLetter

_MOST_NAMES = 100
_OTHERS = "(others)"
_AGES = (
    ("under 1 h", timedelta(hours=1)),
    ("under 1 d", timedelta(days=1)),
    ("under 7 d", timedelta(days=7)),
)
_OLD = "7 d and more"


class ReplayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What ``run()`` would do now, from ``dry_run()``.

    ``considered`` = ``matched`` + ``skipped`` (the filter's no) + ``duplicates`` (settled by an earlier
    run) + ``unreadable``. Of the matched, ``to_park`` were replayed too often. The
    histograms are of the matched ones: ``by_reason`` (the error code), ``by_topic``, ``by_age`` (since the
    last attempt).
    """

    considered: int = 0
    matched: int = 0
    skipped: int = 0
    duplicates: int = 0
    unreadable: int = 0
    to_park: int = 0
    by_reason: Mapping[str, int] = {}
    by_topic: Mapping[str, int] = {}
    by_age: Mapping[str, int] = {}
    problems: tuple[str, ...] = ()
    """The unreadable letters, by place, with what is wrong; at most 100."""
    message: str = ""
    """All of it in a sentence."""

    def saying(self, message: str) -> Self:
        """The same with a message."""
        return msgspec.structs.replace(self, message=message)


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did.

    ``matched`` = ``replayed`` (Kafka acknowledged the event again, or a handler returned) + ``failed`` (it
    did not, or the event became a new letter) + ``parked``. ``considered`` is as in a ReplayPlan.
    ``stopped`` says why the run ended before it had seen every letter; what it did not settle is found by
    the next run. ``problems`` names unreadable and failed letters by place, at most 100.
    """

    run_id: str
    considered: int = 0
    matched: int = 0
    replayed: int = 0
    failed: int = 0
    parked: int = 0
    skipped: int = 0
    duplicates: int = 0
    unreadable: int = 0
    stopped: str = ""
    problems: tuple[str, ...] = ()
    message: str = ""
    """All of it in a sentence."""

    def saying(self, message: str) -> Self:
        """The same with a message."""
        return msgspec.structs.replace(self, message=message)


class Histogram:
    """Counts letters by error code, topic and age; names beyond the first hundred are counted together."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self.by_reason: Counter[str] = Counter()
        self.by_topic: Counter[str] = Counter()
        self.by_age: Counter[str] = Counter()

    @staticmethod
    def count(counter: Counter[str], name: str) -> None:
        """Count one of this name."""
        counter[name if name in counter or len(counter) < _MOST_NAMES else _OTHERS] += 1

    def add(self, letter: DeadLetter) -> None:
        """Count one letter."""
        self.count(self.by_reason, letter.error_code)
        self.count(self.by_topic, letter.topic)
        age = self._now - letter.last_attempt
        self.by_age[next((name for name, limit in _AGES if age < limit), _OLD)] += 1


def nothing_matched(plan: ReplayPlan | ReplayReport, filter_text: str, seen: Mapping[str, int]) -> str:
    """Why nothing was to be done, in a sentence."""
    if not plan.considered:
        return "There are no letters: nothing to replay."
    tally = f"{plan.considered} letters ({plan.duplicates} settled before, {plan.unreadable} unreadable)"
    codes = ", ".join(f"{code} {count}" for code, count in seen.items()) or "none"
    return f"The filter ({filter_text}) matches none of {tally}. Error codes of those skipped: {codes}."
