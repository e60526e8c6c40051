"""The watermark against a model: a list of fetched offsets, and which of them are finished."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tidings.consuming.watermark import Stretch, Watermark


class WatermarkModel(RuleBasedStateMachine):
    """Offsets with gaps, fetched in stretches; finished in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.watermark = Watermark()
        self.fetched: list[int] = []
        self.finished: set[int] = set()
        self.stretches: list[tuple[Stretch, list[int]]] = []
        self.next = 0
        self.before: int | None = None

    @initialize(first=st.integers(0, 1000))
    def begin(self, first: int) -> None:
        self.next = first

    @rule(gaps=st.lists(st.integers(0, 3), min_size=1, max_size=8))
    def fetch(self, gaps: list[int]) -> None:
        offsets = []
        for gap in gaps:
            offsets.append(self.next + gap)
            self.next = offsets[-1] + 1
        stretch = Stretch(offsets[0], offsets[-1], len(offsets), 10 * len(offsets))
        self.watermark.add(stretch)
        self.fetched += offsets
        self.stretches.append((stretch, offsets))

    @precondition(lambda self: self.stretches)
    @rule(data=st.data())
    def go_through(self, data: st.DataObject) -> None:
        """A leader goes on through a stretch; some of what it passes is put aside."""
        stretch, offsets = data.draw(st.sampled_from(self.stretches))
        left = [offset for offset in offsets if offset >= stretch.begun]
        passed = left[: data.draw(st.integers(0, len(left)))]
        aside = data.draw(st.sets(st.sampled_from(passed))) if passed else set()
        stretch.open |= aside
        self.finished |= set(passed) - aside
        rest = left[len(passed) :]
        stretch.begun = rest[0] if rest else stretch.end
        self.watermark.advance()

    @precondition(lambda self: any(stretch.open for stretch, _ in self.stretches))
    @rule(data=st.data())
    def finish_one(self, data: st.DataObject) -> None:
        stretch = data.draw(st.sampled_from([it for it, _ in self.stretches if it.open]))
        offset = data.draw(st.sampled_from(sorted(stretch.open)))
        stretch.open.discard(offset)
        self.finished.add(offset)
        self.watermark.advance()

    @invariant()
    def everything_below_is_finished_and_the_next_is_not(self) -> None:
        position = self.watermark.position
        if not self.fetched:
            assert position is None
            return
        assert position is not None
        assert all(offset in self.finished for offset in self.fetched if offset < position)
        unfinished = [offset for offset in self.fetched if offset not in self.finished]
        assert position == (unfinished[0] if unfinished else self.fetched[-1] + 1)

    @invariant()
    def it_never_goes_back(self) -> None:
        position = self.watermark.position
        assert self.before is None or (position is not None and position >= self.before)
        self.before = position

    @invariant()
    def it_counts_what_is_past_it(self) -> None:
        kept = [offsets for it, offsets in self.stretches if not self._is_gone(it)]
        assert self.watermark.count == sum(map(len, kept))
        assert self.watermark.size == 10 * self.watermark.count

    def _is_gone(self, stretch: Stretch) -> bool:
        before = self.stretches[: [it for it, _ in self.stretches].index(stretch) + 1]
        return all(it.is_finished for it, _ in before)


TestWatermark = WatermarkModel.TestCase
