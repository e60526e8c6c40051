"""What a manager decides alone: whose end was asked for, and who gets how much of the time for closing."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tidings import CloseReport
from tidings.consuming.member import Member, Phase
from tidings.consuming.states import ConsumerReport
from tidings.consuming.supervision import ended


@pytest.mark.parametrize(
    ("failure", "reason", "reports", "phase"),
    [
        (RuntimeError("broken"), "", {}, Phase.WAITING),
        (None, "", {}, Phase.ENDED),
        (RuntimeError("broken while it stopped"), "handle raised Stop", {}, Phase.ENDED),
        (RuntimeError("broken while it closed"), "", {"last": ConsumerReport()}, Phase.ENDED),
    ],
)
def test_an_end_that_was_asked_for_is_one_whatever_failed_on_the_way(
    failure: BaseException | None, reason: str, reports: dict[str, ConsumerReport], phase: Phase
) -> None:
    polling = SimpleNamespace(join=lambda timeout: True)
    consumer: Any = SimpleNamespace(
        _engine=SimpleNamespace(polling=polling, failure=failure, reason=reason),
        _reports=reports,
        _begin=lambda runner: None,
        _runner=lambda loop: None,
    )
    member = Member("name", consumer, None, logging.getLogger("tidings.manager"))
    member.begin(None)
    member.look()
    assert member.phase is phase


@pytest.mark.parametrize(("ago", "least", "most"), [(0, 4, 8), (100, 2, 2)])
def test_consumers_share_the_time_and_the_publisher_gets_the_rest_or_a_quarter(
    ago: float, least: float, most: float
) -> None:
    given: dict[str, list[float]] = {"stop": [], "leave": [], "close": []}

    def leave(began: float, timeout: float) -> ConsumerReport:
        given["leave"].append(timeout)
        return ConsumerReport(handled=1)

    def close(timeout: float) -> CloseReport:
        given["close"].append(timeout)
        return CloseReport()

    member: Any = SimpleNamespace(stop=given["stop"].append, leave=leave)
    publisher: Any = SimpleNamespace(close=close)
    report = ended({"a": member, "b": member}, publisher, time.monotonic() - ago, 8)
    assert given["stop"] == given["leave"] == [6, 6]
    assert least <= given["close"][0] <= most
    assert report.consumers == {"a": ConsumerReport(handled=1), "b": ConsumerReport(handled=1)}
    assert report.publisher == CloseReport()
    assert ended({"a": member}, None, time.monotonic(), 8).publisher is None
    assert given["stop"][-1] == 8
