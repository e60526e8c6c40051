"""The ledger, the judge and the schedule: each wrong of a publisher is seen, and nothing else."""

from __future__ import annotations

import signal
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidings.states import CloseReport, Stats
from tidings.testing.faults import Ledger, LedgerReader, Letter, Life, Program, Records, Schedule, arm, judge
from tidings.testing.faults.clock import shift_clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def lives(path: Path) -> list[Life]:
    return LedgerReader(path).read()


def accept(ledger: Ledger, *marks: str) -> None:
    for mark in marks:
        key, number = mark.split(":")
        ledger.offered(mark, key, int(number))
        ledger.accepted(mark)


def end(ledger: Ledger, **terms: Any) -> None:
    stats = Stats(**terms)
    names = CloseReport.__struct_fields__
    ledger.closed(
        CloseReport(**{name: value for name, value in terms.items() if name in names}), stats, stats
    )


def in_kafka(*marks: str, copies: int = 1) -> Records:
    return Records(
        copies=dict.fromkeys(marks, copies),
        order={("t", 0, 0): list(marks)},
        event_ids={mark: {mark} for mark in marks},
    )


def letter(mark: str, certainty: str = "unknown") -> Letter:
    return Letter(letter_id=f"l-{mark}", mark=mark, certainty=certainty, reason="no", code="X")


def test_a_good_life(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.started(durability="memory")
        accept(ledger, "k:1", "k:2", "j:1")
        ledger.told("k:1", "delivered")
        ledger.refused("k:3", "KAFKA_QUEUE_FULL")
        end(ledger, accepted=3, delivered=2, dead_lettered=1, rejected=1)
    verdict = judge(lives(path), in_kafka("k:1", "k:2"), [letter("j:1")])
    assert verdict.ok, verdict
    assert (verdict.accepted, verdict.delivered, verdict.dead_lettered, verdict.refused) == (3, 2, 1, 1)
    assert msgspec.json.decode(verdict.line())["ok"] is True
    assert "\n" not in verdict.line()


def test_what_is_nowhere_is_missing(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.started(durability="spill")
        accept(ledger, "k:1", "k:2", "k:3", "k:4")
        ledger.told("k:4", "lost", "unknown")
        end(ledger, accepted=4, delivered=2, stored=1, lost=1)
    verdict = judge(lives(path), in_kafka("k:1"), in_store=["k:2"])
    assert verdict.missing == 1
    assert verdict.examples["missing"] == ["k:3"]
    assert verdict.unequal == {"delivered": (2, 1)}
    assert not verdict.ok


@pytest.mark.parametrize(
    ("state", "certainty", "found", "wrong"),
    [
        ("delivered", "-", False, "false_delivered"),
        ("lost", "not_delivered", True, "false_not_delivered"),
        ("dead_lettered", "unknown", True, "uncalled"),
    ],
)
def test_what_was_told_is_held_against_kafka(
    path: Path, state: str, certainty: str, found: bool, wrong: str
) -> None:
    with Ledger(path) as ledger:
        ledger.started(durability="memory")
        accept(ledger, "k:1")
        ledger.told("k:1", state, certainty)
    verdict = judge(lives(path), in_kafka("k:1") if found else Records())
    assert getattr(verdict, wrong) == 1
    assert not verdict.ok


def test_a_letter_that_is_sure_and_wrong_is_seen(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.started(durability="memory")
        accept(ledger, "k:1", "k:2")
        end(ledger, accepted=2, dead_lettered=2)
    found = in_kafka("k:1", "k:2")
    verdict = judge(lives(path), found, [letter("k:1", "not_delivered"), letter("k:2")])
    assert verdict.false_not_delivered == 1
    assert verdict.unequal == {}


def test_copies_keep_their_event_id(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.started(durability="memory")
        accept(ledger, "k:1")
        end(ledger, accepted=1, delivered=1)
    found = in_kafka("k:1", copies=3)
    assert judge(lives(path), found).duplicates == 2
    assert judge(lives(path), found).ok
    found.event_ids["k:1"].add("another")
    assert judge(lives(path), found).renamed == 1


def test_order_is_by_key_and_by_first_copy(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.started(durability="memory")
        accept(ledger, "k:1", "k:2", "k:3", "j:1", "j:2")
    assert judge(lives(path), in_kafka("j:1", "k:1", "k:2", "j:2", "k:3")).order_violations == 0
    assert judge(lives(path), in_kafka("k:3", "k:1", "j:1", "k:2", "j:2")).order_violations == 2


def test_a_topic_read_before_it_was_deleted_counts(path: Path) -> None:
    both = Records()
    both.add(in_kafka("k:1", "k:2"))
    both.add(in_kafka("k:2", "k:3"))
    assert both.copies == {"k:1": 1, "k:2": 2, "k:3": 1}
    with Ledger(path) as ledger:
        ledger.started(durability="memory")
        accept(ledger, "k:1", "k:2", "k:3")
    assert judge(lives(path), both).order_violations == 0


@pytest.mark.parametrize("term", ["accepted", "delivered", "dead_lettered", "lost", "stored", "in_flight"])
def test_every_term_is_counted_again(path: Path, term: str) -> None:
    right = {"accepted": 1, "delivered": 1}
    with Ledger(path) as ledger:
        ledger.started(durability="memory")
        accept(ledger, "k:1")
        end(ledger, **{**right, term: right.get(term, 0) + 1})
    assert judge(lives(path), in_kafka("k:1")).unequal


def test_stats_after_close_must_be_the_reports_and_the_audits(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.started(durability="memory")
        accept(ledger, "k:1")
        report, stats = CloseReport(accepted=1, delivered=1), Stats(accepted=1, delivered=1)
        ledger.closed(report, stats, Stats(accepted=1, in_flight=1))
    unequal = judge(lives(path), in_kafka("k:1")).unequal
    assert unequal == {"life 1: audit.delivered": (0, 1), "life 1: audit.in_flight": (1, 0)}


def test_what_one_life_leaves_the_next_adopts(path: Path) -> None:
    with Ledger(path) as ledger:
        for _ in range(2):
            ledger.started(durability="spill")
            accept(ledger, f"k:{_}")
            end(ledger, accepted=1, stored=1) if _ == 0 else end(ledger, accepted=1, adopted=1, delivered=2)
    assert judge(lives(path), in_kafka("k:0", "k:1")).ok
    with Ledger(path) as ledger:
        ledger.started(durability="spill")
        end(ledger, adopted=1, delivered=1)
    assert "stored, then adopted" in judge(lives(path), in_kafka("k:0", "k:1")).unequal


def test_a_killed_life_owes_what_was_safe_or_told(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.started(durability="write-ahead")
        accept(ledger, "k:1", "k:2", "k:3", "k:4")
        ledger.safe("k:1")
        ledger.told("k:2", "delivered")
        ledger.told("k:3", "stored")
        ledger.killed()
    assert lives(path)[0].owed() == {"k:1", "k:2", "k:3"}
    verdict = judge(lives(path), in_kafka("k:2"))
    assert (verdict.missing, verdict.lost_in_window) == (2, 1)


def test_a_killed_life_in_spill_mode_owes_what_was_older_than_the_window(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.started(durability="spill", store_after=-0.9)  # a window of 0.1 s
        accept(ledger, "k:1")
        time.sleep(0.3)
        accept(ledger, "k:2")
        ledger.killed()
    assert lives(path)[0].owed() == {"k:1"}


def test_a_ledger_survives_sigkill_and_is_whole(path: Path) -> None:
    program = f"""
import threading, time
from tidings.testing.faults import Ledger
ledger = Ledger({str(path)!r})
ledger.started(durability="memory")
def write(name):
    for number in range(1_000_000):
        ledger.offered(f"{{name}}:{{number}}", name, number)
        if number % 100 == 99:
            time.sleep(0.001)  # the reader has to keep up
for name in "abcd":
    threading.Thread(target=write, args=(name,)).start()
"""
    with Program([sys.executable, "-c", program], path).start() as child:
        child.wait_until(lambda life: len(life.keys) > 1000)
        child.kill()
        assert not child.running
        (life,) = child.lives
    assert life.killed is not None
    for name in "abcd":  # every number up to the last one, of each thread
        numbers = [number for key, number in life.keys.values() if key == name]
        assert numbers == list(range(len(numbers)))


def test_waiting_is_about_the_present_life(path: Path) -> None:
    program = f"""
import time
from tidings.testing.faults import Ledger
time.sleep(0.5)
ledger = Ledger({str(path)!r})
ledger.started(durability="memory")
ledger.accepted("k:1")
time.sleep(60)
"""
    with Program([sys.executable, "-c", program], path).start() as child:
        for life in range(2):
            child.wait_until(lambda life: "k:1" in life.accepted)
            assert len(child.lives) == life + 1
            child.kill()
            child.start()


def test_a_program_that_kills_itself_was_killed(path: Path) -> None:
    program = f"""
import sys
from tidings.testing.faults import Ledger, arm
arm("tidings.testing.faults.ledger:Ledger.accepted:after:2")
ledger = Ledger({str(path)!r})
ledger.started(durability="memory")
for mark in ("k:1", "k:2", "k:3"):
    ledger.accepted(mark)
"""
    with Program([sys.executable, "-c", program], path).start() as child:
        assert child.wait() == -signal.SIGKILL
        (life,) = child.lives
    assert list(life.accepted) == ["k:1", "k:2"]
    assert life.killed is not None


def test_a_life_that_ended_by_itself_owes_everything(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.started(durability="memory")
        accept(ledger, "k:1")
    assert lives(path)[0].owed() == {"k:1"}


@pytest.mark.parametrize(
    "point", ["tidings:Publisher:during:1", "tidings:Publisher.fly:before:1", "no.such:f:before:1"]
)
def test_a_crash_point_must_exist(point: str) -> None:
    with pytest.raises((ValueError, AttributeError, ImportError)):
        arm(point)


def test_a_line_of_somebody_else_is_an_error(path: Path) -> None:
    path.write_text("started memory 2.0\nhello\n")
    with pytest.raises(ValueError, match="line 2"):
        lives(path)


def test_a_seed_is_a_schedule() -> None:
    lasting = {"cut": (1.0, 3.0), "kill": (2.0, 5.0), "slow": (0.0, 0.0)}
    first, again = (Schedule.random(7, 300, lasting) for _ in range(2))
    assert first == again
    assert str(first) == str(again)
    assert Schedule.random(8, 300, lasting) != first
    planned = list(first)
    assert {fault.name for fault in planned[:3]} == set(lasting)
    for one, other in pairwise(planned):
        assert other.at >= one.at + one.seconds
    for fault in planned:
        assert lasting[fault.name][0] <= fault.seconds <= lasting[fault.name][1]
        assert fault.at + fault.seconds <= 300
    assert len(planned) > 20


def test_a_shifted_clock_reaches_those_who_imported_it_by_name() -> None:
    from tidings.publishing import hotpath

    real = time.time()
    try:
        shift_clock(-3600)
        assert time.time() < real - 3500
        assert hotpath.time_ns() < (real - 3500) * 1e9  # type: ignore[attr-defined]
        shift_clock(7200)
        assert time.time_ns() > (real + 7000) * 1e9
    finally:
        shift_clock(0)
    assert abs(time.time() - real) < 1000
