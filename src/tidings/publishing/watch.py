"""The watch: four times a second, a look at everything that has not ended."""

from __future__ import annotations

from tidings.publishing.desk import Desk
from tidings.publishing.entry import Delivery
from tidings.publishing.gate import bucket_of
from tidings.publishing.mind import LOST_REPORT, Look

_MOST_COPIES = 5000
"""Entries that one look has copied to disk; the next look is not far."""


class Watch:
    """Sees what is old enough to be copied to disk, what is silent, and what was never reported on."""

    def __init__(self, desk: Desk) -> None:
        self.blocked: dict[str, set[int]] = {}
        """By topic, the buckets of entries that are overdue while others are acknowledged (ENGINE R12)."""
        self.probing: set[str] = set()
        """Topics of which one event is on its way, to see whether Kafka takes it."""
        self.all_copied = False
        """The last look found nothing that has no copy on disk and should have one."""
        self._desk = desk
        settings = desk.settings
        self._store_after = settings.store_after
        self._copy_after = 0.0 if settings.durability == "write-ahead" else settings.store_after

    def look(self, *, copy_all: bool) -> dict[str, Look]:
        """What the mind wants to know, by topic. ``copy_all``: everything gets its copy, whatever its age."""
        desk = self._desk
        entries = desk.engine.ledger.stamp(desk.now)
        self._take_unreported(entries)
        looks: dict[str, Look] = {}
        self.blocked = {}
        copy_after = 0.0 if copy_all else self._copy_after
        concerned = self._store_after if desk.housing is not None else desk.mind.patience
        youngest = 0.0 if desk.mind.is_watching else min(copy_after, concerned)
        missing: list[Delivery] = []
        for entry in entries:
            age = desk.now - entry.born
            if age < youngest:
                break  # in the order they came, those of the store behind them: the rest is younger
            if entry.ended:
                continue
            if entry.handed and not entry.waiting:
                self._look_at(entry, age, looks)
            if age >= copy_after and self._lacks_copy(entry):
                missing.append(entry)
            elif entry.on_disk and age >= self._store_after:
                desk.settle_stored(entry)
        self.all_copied = not missing
        for entry in missing[:_MOST_COPIES]:
            desk.writer.add(entry, entry.record_headers(), desk.now)
        self._ask_for_acknowledgements(looks)
        return looks

    def _look_at(self, entry: Delivery, age: float, looks: dict[str, Look]) -> None:
        mind = self._desk.mind
        is_old = age >= mind.patience
        if not is_old and not mind.watches(entry.topic):
            return
        look = looks.setdefault(entry.topic, Look(in_client=True))
        look.oldest = max(look.oldest, age)
        if is_old and (bucket := bucket_of(entry.key)) is not None:
            self.blocked.setdefault(entry.topic, set()).add(bucket)

    def _lacks_copy(self, entry: Delivery) -> bool:
        in_intake = entry.waiting and entry.why is None
        return self._desk.writer.is_ready and not entry.seq and entry.handed and not in_intake

    def _ask_for_acknowledgements(self, looks: dict[str, Look]) -> None:
        desk = self._desk
        ledger = desk.engine.ledger
        acked, ledger.acked = ledger.acked or set(), None
        for topic in {*acked, *desk.mind.breakers}:
            look = looks.setdefault(topic, Look())
            look.acked = topic in acked
            look.probing = topic in self.probing
            look.waiting = any(shelf.waiting(topic) for shelf in desk.shelves)
        if looks or desk.mind.is_watching:
            ledger.gather_acked()

    def _take_unreported(self, entries: list[Delivery]) -> None:
        """A report can be eaten by a signal handler that raises (ENGINE R20): once the client is empty, what
        it never reported on has failed."""
        pump, transport = self._desk.engine.pump, self._desk.engine.transport
        if pump is None or transport is None or len(transport):
            return
        unreported = [entry for entry in entries if entry.handed and not entry.waiting and not entry.ended]

        def take() -> None:
            if not len(transport):
                words = LOST_REPORT, "the client is empty and never reported on it"
                self._desk.inbox.extend(
                    (entry, entry.attempts, *words) for entry in unreported if not entry.ended
                )

        if unreported:
            pump.between_reports(take)
