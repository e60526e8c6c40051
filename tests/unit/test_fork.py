"""Forks: a child publishes through an engine of its own, flushes at its own exit, and harms no parent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.files import read_lines
from support.scripts import TESTS, run_script

PROGRAM = str(TESTS / "unit" / "programs" / "forks.py")


def forked(tmp_path: Path, how: str) -> list[dict[str, Any]]:
    """What parent and children sent."""
    run_script(PROGRAM, str(tmp_path / "sent"), how)
    return read_lines(tmp_path / "sent")


def who_sent(lines: list[dict[str, Any]]) -> Counter[str]:
    return Counter(line["data"]["order_id"].partition("-")[0] for line in lines)


def test_the_childs_exit_delivers_what_is_the_childs(tmp_path: Path) -> None:
    lines = forked(tmp_path, "exit")
    assert who_sent(lines) == {"parent": 10, "child": 10}
    pids = {line["data"]["order_id"].partition("-")[0]: line["pid"] for line in lines}
    assert pids["parent"] != pids["child"]


def test_an_inherited_delivery_raises_in_the_child(tmp_path: Path) -> None:
    lines = forked(tmp_path, "inherited")
    assert who_sent(lines) == {"parent": 3}


def test_each_closes_its_own(tmp_path: Path) -> None:
    assert who_sent(forked(tmp_path, "closes")) == {"parent": 3, "child": 3, "again": 3}


def test_forks_while_four_threads_publish(tmp_path: Path) -> None:
    lines = forked(tmp_path, "busy")
    sent = who_sent(lines)
    assert (sent["child"], sent["grandchild"], sent["late"]) == (40, 40, 40)
    assert sent["busy"] > 0
    assert len({line["event_id"] for line in lines}) == len(lines), "each id once: no duplicate, no loss"
    assert len({line["pid"] for line in lines}) == 1 + 8 + 8


def test_no_child_is_forked_in_the_middle_of_a_turn_of_the_keeper(tmp_path: Path) -> None:
    """It would inherit sqlite's locks, held for ever."""
    program = str(TESTS / "unit" / "programs" / "forks_in_a_turn.py")
    assert run_script(program, str(tmp_path)).strip() == "0"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("multiprocessing", {"parent": 20, "child": 10}),
        ("dropped", {"dropped": 1, "child": 1}),
        ("from-thread", {"parent": 5, "child": 5}),
    ],
)
def test_other_ways_to_fork(tmp_path: Path, how: str, expected: dict[str, int]) -> None:
    assert who_sent(forked(tmp_path, how)) == expected


def test_parent_and_children_never_draw_the_same_ids(tmp_path: Path) -> None:
    lines = forked(tmp_path, "ids")
    assert len(lines) == 100 + 4 * 2000 + 2000
    assert len({line["event_id"] for line in lines}) == len(lines)
