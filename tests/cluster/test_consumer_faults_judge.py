"""The rules that consuming is judged by: each is seen to be broken where it is."""

from __future__ import annotations

import pytest

from support.ledger import Commit, Finished, Line, Place, check_commits, check_order

PLACES: list[Place] = [(0, 3), (0, 5), (0, 6)]
"""With gaps."""


def begun(*offsets: int, key: str = "6b") -> list[Line]:
    return [Line(False, 1, (0, offset), key, 10 * at) for at, offset in enumerate(offsets, 1)]


def test_the_first_attempts_of_a_key_are_in_order() -> None:
    check_order(begun(3, 5, 6))
    check_order(begun(3, 5, 3, 5, 6))
    check_order(begun(5, 3, key="-"))
    check_order(begun(5) + begun(3, key="6c"))
    with pytest.raises(AssertionError, match="5 began before"):
        check_order(begun(5, 3))
    with pytest.raises(AssertionError, match="6 began before"):
        check_order(begun(3, 6, 3, 5, 6))


def test_no_commit_is_ahead_of_a_record_that_is_not_handled() -> None:
    finished = Finished({(0, 3): 10, (0, 5): 30}, {(0, 6): 700}, None, set())
    check_commits([Commit({0: 3}, 0, 0), Commit({0: 4}, 10, 0), Commit({0: 6}, 30, 0)], PLACES, finished)
    check_commits([Commit({0: 7}, 30, 700)], PLACES, finished)
    for early in (Commit({0: 4}, 9, 900), Commit({0: 6}, 29, 900), Commit({0: 7}, 99, 699)):
        with pytest.raises(AssertionError, match="was committed before"):
            check_commits([Commit({0: 3}, 0, 0), early], PLACES, finished)


def test_no_commit_is_ahead_of_a_result() -> None:
    finished = Finished(dict.fromkeys(PLACES, 10), {}, {(0, 3): 500, (0, 5): 600}, {(0, 6)})
    check_commits([Commit({0: 4}, 10, 500), Commit({0: 7}, 10, 600)], PLACES, finished)
    with pytest.raises(AssertionError, match="6 was committed before 5"):
        check_commits([Commit({0: 6}, 10, 599)], PLACES, finished)


def test_commits_go_back_only_where_somebody_else_did_it() -> None:
    finished = Finished(dict.fromkeys(PLACES, 1), {}, None, set())
    back = [Commit({0: 6}, 1, 0), Commit({0: 5}, 1, 0)]
    check_commits(back, PLACES, finished, goes_back=True)
    with pytest.raises(AssertionError, match="back to 5"):
        check_commits(back, PLACES, finished)
