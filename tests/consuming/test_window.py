"""How much may be fetched ahead."""

from __future__ import annotations

import pytest

from tidings.consuming.window import MOST_BYTES, MOST_RECORDS, Held, may_fetch


@pytest.mark.parametrize(
    ("count", "size", "running", "paused"),
    [
        (0, 0, True, True),
        (MOST_RECORDS // 2 - 1, 0, True, True),
        (MOST_RECORDS // 2, 0, True, False),
        (MOST_RECORDS - 1, 0, True, False),
        (MOST_RECORDS, 0, False, False),
        (1, MOST_BYTES // 2, True, False),
        (1, MOST_BYTES, False, False),
    ],
)
def test_until_it_is_full_and_again_from_half(count: int, size: int, running: bool, paused: bool) -> None:
    held = Held(count, size)
    assert may_fetch(held, Held(), paused=False) is running
    assert may_fetch(held, Held(), paused=True) is paused


def test_many_partitions_have_a_bound_together() -> None:
    three = Held.sum([Held(MOST_RECORDS - 1, 0)] * 3)
    assert may_fetch(Held(), three, paused=False)
    five = Held.sum([Held(MOST_RECORDS - 1, 0)] * 5)
    assert not may_fetch(Held(), five, paused=False)
    heavy = Held.sum([Held(1, MOST_BYTES - 1)] * 5)
    assert not may_fetch(Held(), heavy, paused=False)
