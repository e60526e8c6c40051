"""What becomes of an event whose handler failed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings import ConfigError, DecodeError, Reject, Retry, Stop
from tidings.consuming.retries import Again, GiveUp, Halt, RetryPolicy

_HALF = 0.5


@given(
    repeats=st.integers(0, 50),
    attempt=st.integers(1, 60),
    backoff=st.floats(0, 300),
    more=st.floats(0, 300),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_it_is_tried_again_so_often_and_never_later_than_the_bound(
    repeats: int, attempt: int, backoff: float, more: float, chance: float
) -> None:
    longest = min(backoff + more, 300.0)
    policy = RetryPolicy(repeats=repeats, backoff=backoff, backoff_max=longest)
    decision = policy.decide(RuntimeError(), attempt, lambda: chance)
    if attempt > repeats:
        assert decision == GiveUp()
    else:
        assert isinstance(decision, Again)
        assert 0 <= decision.after <= min(longest, backoff * 2 ** (attempt - 1))


def test_the_bound_doubles_up_to_the_longest() -> None:
    policy = RetryPolicy(repeats=9, backoff=1, backoff_max=5)
    assert [policy.bound(attempt) for attempt in range(1, 6)] == [1, 2, 4, 5, 5]
    assert policy.bound(100_000) == 5


def test_only_what_is_worth_it_is_tried_again() -> None:
    policy = RetryPolicy(on=(ConnectionError, TimeoutError))
    assert policy.decide(ConnectionResetError(), 1, lambda: 0) == Again(0)
    assert policy.decide(ValueError(), 1, lambda: 0) == GiveUp()
    assert policy.decide(SystemExit(), 1, lambda: 0) == GiveUp()


def test_verdicts_of_the_handler_go_first() -> None:
    policy = RetryPolicy(repeats=2, on=(ConnectionError,))
    assert policy.decide(Reject("never"), 1, lambda: 0) == GiveUp(is_asked=True)
    assert policy.decide(Stop(), 99, lambda: 0) == Halt()
    assert policy.decide(Retry(after=7), 2, lambda: 0) == Again(7)
    assert policy.decide(Retry(after=7), 3, lambda: 0) == GiveUp(), "it counts as an attempt"


@pytest.mark.parametrize("after", [-1, 300.1, float("nan"), float("inf")])
def test_a_pause_is_five_minutes_at_most(after: float) -> None:
    with pytest.raises(ValueError, match="0 to 300"):
        Retry(after=after)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"repeats": -1}, "retries"),
        ({"repeats": 1001}, "retries"),
        ({"backoff": -0.1}, "backoff"),
        ({"backoff": 301, "backoff_max": 301}, "backoff"),
        ({"backoff": 2, "backoff_max": 1}, "backoff"),
        ({"on": ("ValueError",)}, "retry_on"),
        ({"on": (KeyboardInterrupt,)}, "retry_on"),
    ],
)
def test_a_wrong_policy_is_an_error(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


def test_a_decode_error_of_the_handlers_own_is_no_reason_to_give_up() -> None:
    """The record was decoded: what the handler cannot decode came from elsewhere, and may be better later."""
    assert RetryPolicy().decide(DecodeError("an answer"), 1, lambda: _HALF) == Again(0.05)
