"""A producer that outruns two groups for minutes: memory stays flat, partitions pause, all is caught up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.books import LONG
from support.processes import memory_of, wait_until
from support.watched import Load, Watched
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic

pytestmark = pytest.mark.timeout(400)

LASTS = 120.0
RATE = 1200
"""Events a second, of 2 kB; the handlers manage a tenth."""
MOST = 500 * 2**20
"""Bytes: the windows hold 40,000 events of 2 kB, librdkafka 16 MiB."""


@pytest.fixture(scope="module")
def kafka() -> Iterator[RealKafka]:
    with RealKafka() as kafka:
        yield kafka


def status_of(path: Path) -> dict[str, Any]:
    """What a member said of itself last."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def test_memory_is_flat_and_both_groups_catch_up(kafka: RealKafka, tmp_path: Path) -> None:
    topic, slow = unique_topic(), tmp_path / "slow"
    kafka.create_topic(topic, 4)
    slow.touch()
    load = Load(kafka.bootstrap_servers, topic, keys=200, size=2000)
    forms: dict[str, dict[str, Any]] = {
        "sync": {"workers": 4},
        "async": {"workers": 4, "group_protocol": "consumer"},
    }
    with ExitStack() as stack:
        groups = {
            form: stack.enter_context(Watched(kafka, tmp_path, topic=topic, settings=settings))
            for form, settings in forms.items()
        }
        paths = {form: tmp_path / f"{form}.json" for form in forms}
        members = {
            form: it.start(form, pace=0.03, slow=str(slow), status=str(paths[form]))
            for form, it in groups.items()
        }
        sizes: dict[str, list[int]] = {form: [] for form in forms}
        most_paused = dict.fromkeys(forms, 0)
        with load.flowing(RATE):
            end = time.monotonic() + LASTS
            while time.monotonic() < end:
                time.sleep(1)
                for form, member in members.items():
                    sizes[form].append(memory_of(member.pid))
                    most_paused[form] = max(most_paused[form], status_of(paths[form]).get("paused", 0))
        everything = set(load.places.values())
        for form, watched in groups.items():
            assert len(watched.ledger.done_places()) < len(everything) / 2, "it was outrun"
            first, second = sizes[form][: len(sizes[form]) // 2], sizes[form][len(sizes[form]) // 2 :]
            assert max(second) < min(MOST, 1.15 * max(first)), (form, first[-5:], second[-5:])
            assert most_paused[form] > 0, "partitions were paused"
        slow.unlink()
        for form, watched in groups.items():
            assert wait_until(partial(watched.has_done, everything), 2 * LONG), watched.log_tail()
            watched.end(members[form])
            kept = watched.check_finished(places=everything)
            assert not kept.letters
            assert max(kept.attempts.values()) == 1
