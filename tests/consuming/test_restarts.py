"""When a consumer that failed is started again: pauses from 1 to 60 seconds, forgotten after a good life."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidings.consuming.restarts import HOLDS, LONGEST, SHORTEST, Restarts

LUCK = st.floats(0, 1, exclude_max=True)


@given(st.lists(st.tuples(st.floats(0, HOLDS - 0.1), LUCK), min_size=1, max_size=40))
def test_pauses_are_bounded_and_grow_with_failures_in_a_row(lives: list[tuple[float, float]]) -> None:
    luck = iter([random for _, random in lives])
    restarts, now = Restarts(lambda: next(luck)), 100.0
    for number, (length, random) in enumerate(lives, 1):
        restarts.begin(now)
        now += length
        pause = restarts.fail(now)
        assert SHORTEST <= pause < LONGEST
        assert pause == SHORTEST + random * (min(LONGEST, 2.0**number) - SHORTEST)
        assert restarts.due == now + pause
        assert (restarts.in_a_row, restarts.count) == (number, number - 1)
        now = restarts.due


@given(st.integers(0, 10), st.floats(HOLDS + 1, 1e6))
def test_a_life_that_held_makes_the_next_failure_a_first_one(failures: int, length: float) -> None:
    restarts, now = Restarts(lambda: 0.999), 0.0
    for _ in range(failures):
        restarts.begin(now)
        now += restarts.fail(now)
    restarts.begin(now)
    assert restarts.is_fresh(now)
    assert not restarts.is_fresh(now + length)
    assert restarts.fail(now + length) < 2.0
    assert restarts.in_a_row == 1
    assert restarts.count == failures
