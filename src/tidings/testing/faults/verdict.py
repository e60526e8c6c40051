"""The judge: what a program said against what Kafka has. Pure, on plain data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

import msgspec

from tidings.states import CloseReport, State, Terms
from tidings.testing.faults.ledger import Ending, Life
from tidings.testing.faults.reading import Letter, Records

_EXAMPLES = 5


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the events of a program, counted from outside.

    Faults of the publisher, each 0 in a good verdict: ``missing`` (owed, and neither in Kafka nor a letter
    nor in the store), ``false_delivered`` (called delivered, and not in Kafka), ``false_not_delivered``
    (called ``not_delivered``, and in Kafka), ``renamed`` (copies of one event with different event ids),
    ``uncalled`` (called dead-lettered, and no letter is there), ``unequal`` (terms of stats() or of the
    CloseReport that differ from the count: said, counted).

    What may happen: ``duplicates`` (copies beyond the first), ``order_violations`` (events behind a later
    one of their key and life), ``lost`` (gone, and said so), ``lost_in_window`` (accepted just before a
    SIGKILL, not safe yet, and gone).
    """

    accepted: int = 0
    delivered: int = 0
    stored: int = 0
    dead_lettered: int = 0
    lost: int = 0
    refused: int = 0
    missing: int = 0
    false_delivered: int = 0
    false_not_delivered: int = 0
    renamed: int = 0
    uncalled: int = 0
    duplicates: int = 0
    order_violations: int = 0
    lost_in_window: int = 0
    lives: int = 0
    unequal: dict[str, tuple[int, int]] = {}
    examples: dict[str, list[str]] = {}
    """A few marks of each fault."""

    @property
    def ok(self) -> bool:
        """True when nothing is missing, nothing was called what it is not, and every term is right."""
        wrong = (self.missing, self.false_delivered, self.false_not_delivered, self.renamed, self.uncalled)
        return not any(wrong) and not self.unequal

    def line(self) -> str:
        """All of it as one line of JSON."""
        return msgspec.json.encode({"ok": self.ok, **msgspec.structs.asdict(self)}).decode()

    def __str__(self) -> str:
        return self.line()


def judge(
    lives: Sequence[Life],
    records: Records,
    letters: Sequence[Letter] = (),
    in_store: Collection[str] = (),
) -> Verdict:
    """Compare a program's lives with what is in its topics, among its letters and left in its store."""
    stored, dead = set(in_store), {letter.mark for letter in letters if letter.mark is not None}
    kept = records.copies.keys() | stored | dead
    told = {mark: what for life in lives for mark, what in life.told.items()}
    accepted = {mark for life in lives for mark in life.accepted}
    owed = {mark for life in lives for mark in life.owed()}
    lost = {mark for mark, (state, _) in told.items() if state == State.LOST}
    refusals = {mark for mark, (_, certainty) in told.items() if certainty == "not_delivered"}
    refusals |= {letter.mark for letter in letters if letter.mark and letter.certainty == "not_delivered"}
    wrong = {
        "missing": owed - kept - lost,
        "false_delivered": _told(told, State.DELIVERED) - records.copies.keys(),
        "false_not_delivered": refusals & records.copies.keys(),
        "renamed": {mark for mark, ids in records.event_ids.items() if len(ids) > 1},
        "uncalled": _told(told, State.DEAD_LETTERED) - dead - stored,
    }
    in_letters, waiting = accepted & dead, (accepted & stored) - dead
    delivered = (accepted & records.copies.keys()) - in_letters - waiting - lost
    counted = Terms(
        accepted=len(accepted),
        delivered=len(delivered),
        dead_lettered=len(in_letters),
        lost=len(lost),
        stored=len(waiting),
    )
    return Verdict(
        accepted=counted.accepted,
        delivered=counted.delivered,
        dead_lettered=counted.dead_lettered,
        lost=counted.lost,
        stored=counted.stored,
        refused=sum(len(life.refused) for life in lives),
        **{name: len(marks) for name, marks in wrong.items()},
        duplicates=sum(records.copies.values()) - len(records.copies),
        order_violations=sum(_violations(lives, records)),
        lost_in_window=len(accepted - owed - kept - lost),
        lives=len(lives),
        unequal=dict(_unequal(lives, counted)),
        examples={name: sorted(marks)[:_EXAMPLES] for name, marks in wrong.items() if marks},
    )


def _told(told: dict[str, tuple[str, str]], state: State) -> set[str]:
    return {mark for mark, (said, _) in told.items() if said == state}


def _violations(lives: Sequence[Life], records: Records) -> Iterator[int]:
    """Events whose first copy stands behind a later event of their key. A key belongs to one life."""
    keys = {mark: place for life in lives for mark, place in life.keys.items()}
    for marks in records.order.values():
        newest: dict[str, int] = {}
        for mark in marks:
            if mark in keys:
                key, number = keys[mark]
                last = newest.get(key, -1)
                if number < last:
                    yield 1
                newest[key] = max(last, number)


def _unequal(lives: Sequence[Life], counted: Terms) -> Iterator[tuple[str, tuple[int, int]]]:
    """Where the program's own terms differ from the count.

    Each orderly life is held to its own ledger and to the invariant. Sums over lives are exact when no life
    was killed: what a killed one had delivered, and how much of that its store still held, it told nobody.
    """
    closed: list[CloseReport] = []
    for number, life in enumerate(lives, 1):
        if life.closed is not None:
            closed.append(life.closed.report)
            for what, (said, count) in _unequal_in(life, life.closed):
                if said != count:
                    yield f"life {number}: {what}", (said, count)
    if closed and len(closed) == len(lives):
        sums = {name: sum(getattr(report, name) for report in closed) for name in _ENDED}
        pairs = [(name, (said, getattr(counted, name))) for name, said in sums.items()]
        pairs.append(("stored", (closed[-1].stored, counted.stored)))
        pairs += [("stored, then adopted", (one.stored, next_.adopted)) for one, next_ in pairwise(closed)]
        yield from ((what, (said, count)) for what, (said, count) in pairs if said != count)


_ENDED = ("delivered", "dead_lettered", "lost")


def _unequal_in(life: Life, ending: Ending) -> Iterator[tuple[str, tuple[int, int]]]:
    report = ending.report
    for name in Terms.__struct_fields__:
        reported = getattr(report, name)
        yield f"stats.{name}", (getattr(ending.stats, name), reported)
        yield f"audit.{name}", (getattr(ending.audit, name), reported)
    taken = report.accepted + report.adopted + report.replayed
    ended = report.delivered + report.dead_lettered + report.lost + report.stored
    yield "in_flight", (report.in_flight, 0)
    yield "taken, ended", (taken, ended)
    yield "accepted", (report.accepted, len(life.accepted))
    yield "rejected", (ending.stats.rejected, len(life.refused))
