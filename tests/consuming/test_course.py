"""Chunks in batches: every record is in one call after another, in order, whatever fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from support.consuming import FakeRecord
from tidings.consuming.course import Course
from tidings.consuming.handlers import handler_of
from tidings.consuming.message import Record
from tidings.consuming.places import Chunk, Place, Tenure
from tidings.consuming.reading import Call, Route, Unread
from tidings.consuming.retries import RetryPolicy


def many(batch: list[Any]) -> None: ...
def single(one: Any) -> None: ...


_MANY = Route(handler_of(many, policy=RetryPolicy(), timeout=1, is_batch=True, most=3))
_OTHER = Route(handler_of(many, policy=RetryPolicy(), timeout=1, is_batch=True, most=3))
_SINGLE = Route(handler_of(single, policy=RetryPolicy(), timeout=1))


def read(record: Record, attempt: int) -> Call | None:
    kind = record.value()
    if kind == b"x":
        raise Unread("x")
    routes = {b"m": _MANY, b"o": _OTHER, b"s": _SINGLE}
    return None if kind == b"-" else (routes[kind or b""], record.offset(), "id")


def read_alike(records: Sequence[Record]) -> tuple[Route, list[Any]] | None:
    if {record.value() for record in records} == {b"m"}:
        return _MANY, [record.offset() for record in records]
    return None


@given(
    kinds=st.text("moosx-", min_size=1, max_size=30) | st.text("m", min_size=1, max_size=30),
    failing=st.sets(st.integers(0, 30)),
)
def test_every_record_is_over_once_and_in_order(kinds: str, failing: set[int]) -> None:
    """A call with a failing record fails; alone, it is tried twice and then given up."""
    chunk = Chunk(
        Tenure(Place("t", 0)),
        [FakeRecord(kind.encode(), offset=10 * n) for n, kind in enumerate(kinds)],
    )
    course, over, skipped, tried = Course(chunk, read, read_alike), list[int](), 0, list[int]()
    attempt = 1
    while (step := course.next(attempt)) is not None:
        offsets = [record.offset() for record in step.records]
        if step.route is not None and step.route.handler.is_batch:
            assert step.argument == offsets
            assert len(offsets) <= 3
        bad = [it for it in offsets if it // 10 in failing]
        if step.error is None and bad:
            if course.split(step):
                continue
            tried.append(offsets[0])
            if attempt == 1:
                course.put_back()
                attempt = 2
                continue
        over += offsets
        skipped += step.skipped
        attempt = 1
        course.done(step)
        assert chunk.begun > max(over, default=-1)
    wanted = [10 * n for n, kind in enumerate(kinds) if kind != "-"]
    assert over == wanted
    assert skipped == kinds.count("-")
    assert chunk.begun == chunk.end
    alone = [10 * n for n, kind in enumerate(kinds) if kind not in "-x" and n in failing]
    assert tried == sorted(2 * alone), "each of them alone, twice"
