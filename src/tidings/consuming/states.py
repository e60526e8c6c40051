"""What consumers and their manager say of themselves: ConsumerStats, ConsumerReport, ManagerReport."""

from __future__ import annotations

from typing import Self

import msgspec

from tidings.states import CloseReport


class PartitionStats(msgspec.Struct, frozen=True, kw_only=True):
    """How far one partition is. ``position``: everything fetched below it is finished; None before anything
    was. ``end``: the offset after its last record, as far as it is known; ``lag``: what is between."""

    position: int | None
    end: int | None
    held: int
    """Records fetched, and not behind ``position``."""
    is_paused: bool

    @property
    def lag(self) -> int | None:
        """Records that are not finished; None while that is not known. An upper bound where offsets have
        gaps."""
        return None if self.position is None or self.end is None else max(0, self.end - self.position)


class ConsumerCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of records. ``handled``: a handler returned. ``failed``: attempts that raised; ``retried``:
    those that were followed by another. ``dead_lettered``: letters that Kafka has; ``undecodable`` of them
    had no event in them. ``skipped``: no handler is for them. ``expired_unread``: retention removed them
    before they were read. ``duplicates``: events left out because of ``dedup``; their calls count as handled
    too."""

    handled: int = 0
    duplicates: int = 0
    failed: int = 0
    retried: int = 0
    dead_lettered: int = 0
    skipped: int = 0
    undecodable: int = 0
    expired_unread: int = 0

    def plus(self, other: ConsumerCounts) -> Self:
        """This, with the other's counts added to its own."""
        sums = {it: getattr(self, it) + getattr(other, it) for it in ConsumerCounts.__struct_fields__}
        return msgspec.structs.replace(self, **sums)


class ConsumerStats(ConsumerCounts, frozen=True, kw_only=True):
    """A consumer's counters, read at one moment. ``partitions``, by topic and number, are those ours now."""

    letters_waiting: int = 0
    """Letters that Kafka does not have yet: they hold offsets back."""
    partitions: dict[tuple[str, int], PartitionStats] = {}
    is_running: bool = False
    is_closed: bool = False


class ManagedStats(ConsumerStats, frozen=True, kw_only=True):
    """The same of a consumer under a Manager: the counters are those of all its lives."""

    restarts: int = 0
    """Lives after the first: it had failed, and was started again."""


class ConsumerReport(ConsumerCounts, frozen=True, kw_only=True):
    """What had become of records when close() returned."""

    unfinished: int = 0
    """Records that were fetched and are not finished: the group reads them again."""
    left: bool = True
    """The group was left and the last offsets committed; False: Kafka did not answer in time, and the group
    finds out by SESSION_TIMEOUT."""
    duration: float = 0.0
    """Seconds close() took."""


class ManagerReport(msgspec.Struct, frozen=True, kw_only=True):
    """How things stood when ``Manager.close()`` returned."""

    consumers: dict[str, ConsumerReport] = {}
    """By name."""
    publisher: CloseReport | None = None
    """None where the publisher is somebody else's, and left open; or not closed yet."""
    duration: float = 0.0
    """Seconds close() took."""
