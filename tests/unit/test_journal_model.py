"""A journal against a dict: random commits, reads, reopenings and crashes."""

from __future__ import annotations

import shutil

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.journals import check_counts, everything, letter, opened, owed, quick_directory
from tidings.letters.owed import Owed

_TOPIC_LISTS = st.lists(st.sampled_from(["a", "b", "ü"]), max_size=30)


class JournalModel(RuleBasedStateMachine):
    """``live`` is what must be there; ``maybe`` what a crash may bring back: gone, but not its row."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = quick_directory()
        self.crashes = 0
        self.path = self.directory / "0" / "x.journal"
        self.journal = opened(self.path)
        self.live: dict[int, Owed] = {}
        self.maybe: dict[int, Owed] = {}
        self.letters: dict[int, str] = {}
        self.parked: set[int] = set()

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.directory)

    @rule(topics=_TOPIC_LISTS, size=st.sampled_from([0, 10, 200_000]), shuffled=st.randoms())
    def add(self, topics: list[str], size: int, shuffled: object) -> None:
        events = [owed(self.journal, topic, bytes(size)) for topic in topics]
        shuffled.shuffle(events)  # type: ignore[attr-defined]
        cut = len(events) // 2
        self.journal.commit(events[:cut])
        self.journal.commit(events[cut:])
        self.live.update((each.seq, each) for each in events)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        seqs = data.draw(st.lists(st.sampled_from(sorted(self.live) or [0]), max_size=40))
        new = owed(self.journal, "a")
        self.journal.commit([new], seqs)
        self._forget(seqs)
        self.live[new.seq] = new

    @rule(low=st.integers(0, 200), count=st.integers(0, 200))
    def remove_range(self, low: int, count: int) -> None:
        self.journal.commit(remove=range(low, low + count))
        self._forget(range(low, low + count))

    @rule(parked=st.booleans())
    def turn_into_a_letter(self, parked: bool) -> None:
        if self.live:
            seq = min(self.live)
            row = letter(str(seq), parked=parked)
            self.journal.commit(remove=[seq], letters=[row])
            self._forget([seq])
            self.letters[row.row] = row.letter_id
            self.parked |= {row.row} if parked else set()

    @rule(data=st.data())
    def end_letters(self, data: st.DataObject) -> None:
        rows = data.draw(st.lists(st.sampled_from(sorted(self.letters) or [0]), max_size=2))
        self.journal.commit(letters_done=rows[:1], letters_parked=rows[1:])
        for row in rows[:1]:
            self.letters.pop(row, None)
            self.parked.discard(row)
        self.parked |= set(rows[1:]) & set(self.letters)

    @rule(clean=st.booleans())
    def reopen(self, clean: bool) -> None:
        self.journal.close(clean=clean)
        self._opened(clean=clean)

    @rule()
    def crash(self) -> None:
        """As after a SIGKILL: the files as they are at this moment."""
        self.crashes += 1
        target = self.directory / str(self.crashes)
        shutil.copytree(self.path.parent, target)
        self.journal.close()
        self.path = target / self.path.name
        self._opened(clean=False)

    @invariant()
    def holds_what_it_must(self) -> None:
        assert everything(self.journal, page=17) == self.live
        check_counts(self.journal)
        for seq in list(self.live)[:3]:
            assert self.journal.get(seq) == self.live[seq]
        waiting = {each.row: each.letter_id for each in self.journal.letters(0, 1000)}
        parked = {each.row: each.letter_id for each in self.journal.letters(0, 1000, parked=True)}
        assert waiting | parked == self.letters
        assert set(parked) == self.parked
        assert (self.journal.letter_count, self.journal.parked_count) == (len(waiting), len(parked))
        assert self.journal.damaged == []

    def _forget(self, seqs: object) -> None:
        for seq in list(seqs):  # type: ignore[call-overload]
            if seq in self.live:
                self.maybe[seq] = self.live.pop(seq)

    def _opened(self, *, clean: bool) -> None:
        self.journal = opened(self.path)
        found = everything(self.journal)
        back = found.keys() - self.live.keys()
        assert self.live.keys() <= found.keys()
        if clean:
            assert back == set()
        assert all(found[seq] == self.maybe[seq] for seq in back)
        self.live = found


JournalModel.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestJournalModel = JournalModel.TestCase
