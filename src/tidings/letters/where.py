"""Which letters a replay is about: a predicate, or patterns by field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

from tidings.errors import ConfigError
from tidings.letters.letter import DeadLetter

Predicate = Callable[[DeadLetter], object]
Where = Predicate | Mapping[str, Any] | None

_TEXT: Final[Mapping[str, Callable[[DeadLetter], str | None]]] = {
    "reason": lambda letter: letter.failure_reason,
    "error_code": lambda letter: letter.error_code,
    "topic": lambda letter: letter.topic,
    "event_type": lambda letter: letter.event_type,
    "event_id": lambda letter: letter.event_id,
    "letter_id": lambda letter: letter.letter_id,
    "origin": lambda letter: letter.origin,
    "group": lambda letter: letter.group,
}
_TIMES: Final = ("since", "until")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Filter:
    """Decides which letters match.

    A mapping has ``reason``, ``error_code``, ``topic``, ``event_type``, ``event_id``, ``letter_id``,
    ``origin`` or ``group`` with a pattern (``*``, ``?`` and ``[…]`` as in a shell, case counts; a list: any
    of them), and ``since`` and ``until`` for the time of the last attempt (a datetime with a time zone, RFC
    3339 text, or milliseconds since 1970). All of them must hold. ``for_group``: letters of consumers only,
    and of this group where the mapping says nothing of ``group``. Raises ConfigError, naming every wrong
    field.
    """

    def __init__(self, where: Where, for_group: str | None = None) -> None:
        self._predicate = where if callable(where) else None
        given: Mapping[str, Any] = {} if where is None or callable(where) else where
        self._is_for_consumer = for_group is not None
        self._group = None if "group" in given else for_group
        problems: list[str] = []
        self._patterns = {
            name: patterns for name in _TEXT if (patterns := _patterns(given.get(name), name, problems))
        }
        self._times = {name: time for name in _TIMES if (time := _time(given.get(name), name, problems))}
        if unknown := given.keys() - _TEXT.keys() - set(_TIMES):
            known = ", ".join([*_TEXT, *_TIMES])
            problems.append(f"{', '.join(sorted(map(str, unknown)))}: no such field; there are {known}")
        if len(self._times) == 2 and self._times["since"] > self._times["until"]:
            problems.append("since is later than until: nothing could match")
        if problems:
            raise ConfigError(f"where: {'; '.join(problems)}.")

    def __call__(self, letter: DeadLetter) -> bool:
        if self._is_for_consumer and letter.origin != "consumer":
            return False
        if self._group is not None and letter.group != self._group:
            return False
        if self._predicate is not None:
            return bool(self._predicate(letter))
        since, until = self._times.get("since"), self._times.get("until")
        if (since and letter.last_attempt < since) or (until and letter.last_attempt > until):
            return False
        return all(
            any(fnmatchcase(_TEXT[name](letter) or "", pattern) for pattern in patterns)
            for name, patterns in self._patterns.items()
        )

    @property
    def is_code(self) -> bool:
        """True for a predicate: only a look at the letters tells what it matches."""
        return self._predicate is not None

    @property
    def takes_everything(self) -> bool:
        """True when no letter can fail to match."""
        limits = (patterns for patterns in self._patterns.values() if "*" not in patterns)
        return not self.is_code and not self._times and not any(limits)

    def __str__(self) -> str:
        return ", ".join(self._parts()) or "every letter"

    def _parts(self) -> Iterator[str]:
        if self._group is not None:
            yield f"group={self._group}"
        if self._predicate is not None:
            name = getattr(self._predicate, "__qualname__", type(self._predicate).__qualname__)
            yield f"predicate {name}"
        for name, patterns in self._patterns.items():
            yield f"{name}={'|'.join(patterns)}"
        for name, time in self._times.items():
            yield f"{name}={time.isoformat()}"


def _patterns(given: object, name: str, problems: list[str]) -> Sequence[str]:
    if given is None:
        return ()
    patterns = [given] if isinstance(given, str) else given
    if isinstance(patterns, list | tuple | set | frozenset) and all(isinstance(it, str) for it in patterns):
        if not patterns:
            problems.append(f"{name}: an empty list matches nothing")
        return sorted(patterns)
    problems.append(f"{name}: must be a pattern or a list of them, not {type(given).__name__}")
    return ()


def _time(given: object, name: str, problems: list[str]) -> datetime | None:
    moment = given
    if isinstance(given, int) and not isinstance(given, bool):
        moment = _EPOCH + timedelta(milliseconds=given)
    elif isinstance(given, str):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError:
            problems.append(f"{name}: is not an RFC 3339 time such as 2026-01-02T03:04:05Z")
            return None
    if isinstance(moment, datetime) and moment.utcoffset() is not None:
        return moment
    if given is not None:
        problems.append(f"{name}: must be a time with a time zone, or milliseconds since 1970")
    return None
