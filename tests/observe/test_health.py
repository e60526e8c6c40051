"""HealthRegistry: what it asks, how long it waits, what it remembers, and what it says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.processes import wait_until
from tidings import BrokersUnavailable, ConfigError, Health, HealthStatus, Publisher
from tidings.observe import HealthRegistry, HealthReport
from tidings.testing import EmbeddedBroker
from tidings.testing.memory import InMemoryTransport

LONG = 30.0
SHORT = 0.05
Ask = Callable[[HealthRegistry], HealthReport]


def _ask_async(health: HealthRegistry) -> HealthReport:
    return asyncio.run(health.acheck())


@pytest.fixture(params=["check", "acheck"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Both ways of asking."""
    return HealthRegistry.check if request.param == "check" else _ask_async


@pytest.fixture
def health() -> HealthRegistry:
    return HealthRegistry()


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What a check hangs on, until the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def _degraded() -> Health:
    return Health(status=HealthStatus.DEGRADED, cause="slow", message="It is slow.")


def _raises() -> bool:
    raise BrokersUnavailable("No broker answered.")


async def _async_yes() -> bool:
    await asyncio.sleep(0)
    return True


def _returns_a_coroutine() -> Coroutine[None, None, bool]:
    return _async_yes()


async def _async_raises() -> bool:
    raise ValueError("it is broken")


class _Async:
    async def health(self, timeout: float) -> Health:
        return Health(status=HealthStatus.HEALTHY, cause="healthy", message=f"{timeout:g}")


def test_what_checks_may_return(health: HealthRegistry, ask: Ask) -> None:
    health.register("true", lambda: True)
    health.register("nothing", lambda: None)
    health.register("async", _async_yes)
    health.register("returns a coroutine", _returns_a_coroutine)
    health.register("false", lambda: False)
    health.register("health", _degraded)
    health.register("raises", _raises)
    health.register("async raises", _async_raises)
    health.register("number", lambda: 1)  # type: ignore[arg-type,return-value]
    health.register("object", _Async(), timeout=10)
    found = ask(health).checks
    assert {name: (str(it.status), it.cause) for name, it in found.items()} == {
        "true": ("healthy", "healthy"),
        "nothing": ("healthy", "healthy"),
        "async": ("healthy", "healthy"),
        "returns a coroutine": ("healthy", "healthy"),
        "false": ("unhealthy", "unhealthy"),
        "health": ("degraded", "slow"),
        "raises": ("unhealthy", "kafka_brokers_unavailable"),
        "async raises": ("unhealthy", "raised"),
        "number": ("unhealthy", "no_answer"),
        "object": ("healthy", "healthy"),
    }
    assert "it is broken" in found["async raises"].message
    assert found["object"].message == "8", "it is told of less time than there is"


_STATUSES = st.sampled_from(HealthStatus)


@given(st.lists(st.tuples(_STATUSES, st.booleans())))
def test_the_status_is_the_worst_of_those_that_matter(given: list[tuple[HealthStatus, bool]]) -> None:
    health = HealthRegistry()
    for number, (status, critical) in enumerate(given):
        one = Health(status=status, cause="x", message="x")
        health.register(str(number), lambda one=one: one, critical=critical)  # type: ignore[misc]
    report = health.check()
    critical_ones = {status for status, critical in given if critical}
    assert report.ready is (HealthStatus.UNHEALTHY not in critical_ones)
    assert report.ok is bool(report) is all(status is HealthStatus.HEALTHY for status, _ in given)
    assert bool(report.message) is not report.ok


def test_a_check_that_hangs_is_one_thread_and_no_waiting(
    health: HealthRegistry, ask: Ask, hanging: threading.Event
) -> None:
    calls: list[int] = []

    def hang() -> bool:
        calls.append(1)
        return hanging.wait(LONG)

    health.register("hangs", hang, timeout=SHORT, cache=0)
    health.register("works", lambda: True, cache=0)
    before = threading.active_count()
    for _ in range(20):
        report = ask(health)
        assert report.checks["hangs"].cause == "timeout"
        assert report.checks["works"].status is HealthStatus.HEALTHY
    assert len(calls) == 1
    assert threading.active_count() <= before + 2  # and one that may not have ended yet
    hanging.set()
    assert wait_until(lambda: ask(health).ok or len(calls) > 1, LONG), "it is asked again afterwards"


def test_an_answer_that_comes_late_is_none(
    health: HealthRegistry, ask: Ask, hanging: threading.Event
) -> None:
    health.register("slow", lambda: hanging.wait(LONG), timeout=SHORT, cache=LONG)
    assert not ask(health).ready
    hanging.set()
    assert wait_until(lambda: "tidings-health" not in {thread.name for thread in threading.enumerate()}, LONG)
    assert ask(health).checks["slow"].cause == "timeout", "or a check that is always slow would flap"


def test_an_async_check_that_hangs_is_cancelled(health: HealthRegistry, ask: Ask) -> None:
    cancelled = []

    async def hang() -> bool:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return True

    health.register("hangs", hang, timeout=SHORT)
    assert ask(health).checks["hangs"].cause == "timeout"
    assert wait_until(lambda: bool(cancelled), LONG)


def test_an_async_check_that_cannot_be_cancelled_holds_nothing_up(health: HealthRegistry) -> None:
    async def run() -> None:
        let_go = asyncio.Event()

        async def stubborn() -> bool:
            while not let_go.is_set():
                try:
                    await let_go.wait()
                except asyncio.CancelledError:
                    continue
            return True

        health.register("stubborn", stubborn, timeout=SHORT, cache=0)
        for _ in range(3):
            assert (await health.acheck()).checks["stubborn"].cause == "timeout"
        let_go.set()
        await asyncio.sleep(0)

    asyncio.run(run())


def test_checks_run_at_the_same_time(health: HealthRegistry, ask: Ask) -> None:
    together = threading.Barrier(8)
    for number in range(8):
        health.register(str(number), lambda: together.wait(LONG) >= 0, timeout=LONG)
    assert ask(health).ok


def test_whoever_asks_meanwhile_shares_the_answer(health: HealthRegistry, hanging: threading.Event) -> None:
    calls = []

    def slow() -> bool:
        calls.append(1)
        return hanging.wait(LONG)

    health.register("slow", slow, timeout=LONG, cache=0)
    reports: list[HealthReport] = []
    threads = [threading.Thread(target=lambda: reports.append(health.check())) for _ in range(10)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: bool(calls), LONG)
    hanging.set()
    for thread in threads:
        thread.join(LONG)
    assert [report.ok for report in reports] == [True] * 10
    assert len({report.checks["slow"].checked_at for report in reports}) == len(calls)


def test_an_answer_is_remembered(health: HealthRegistry, ask: Ask) -> None:
    counts = {"kept": 0, "asked anew": 0}

    def count(name: str) -> bool:
        counts[name] += 1
        return True

    health.register("kept", lambda: count("kept"), cache=LONG)
    health.register("asked anew", lambda: count("asked anew"), cache=0)
    first, second = ask(health), ask(health)
    assert counts == {"kept": 1, "asked anew": 2}
    assert first.checks["kept"] == second.checks["kept"]
    assert first.checked_at < second.checked_at


def test_a_former_answer_stands_in_while_the_next_one_is_slow(
    health: HealthRegistry, ask: Ask, hanging: threading.Event
) -> None:
    calls: list[int] = []

    def slow_the_second_time() -> Health:
        calls.append(1)
        if len(calls) == 1:
            return Health(status=HealthStatus.HEALTHY, cause="healthy", message="It answers.")
        hanging.wait(LONG)
        return _degraded()

    health.register("slow", slow_the_second_time, timeout=2 * LONG, cache=0.001)
    first = ask(health)
    assert wait_until(lambda: ask(health).checks == first.checks and len(calls) > 1, LONG)
    assert ask(health).checks == first.checks
    hanging.set()
    assert wait_until(lambda: ask(health).checks["slow"].cause == "slow", LONG)


def test_a_loop_that_ended_is_not_waited_for(health: HealthRegistry) -> None:
    async def never() -> bool:
        await asyncio.Event().wait()
        return True

    async def leave_early() -> None:
        asking = asyncio.create_task(health.acheck())
        await asyncio.sleep(0)
        asking.cancel()

    health.register("never", never, timeout=LONG, cache=0)
    asyncio.run(leave_early())
    health.unregister("never")
    health.register("never", _async_yes, timeout=LONG)
    assert asyncio.run(health.acheck()).ok


def test_a_check_that_ended_with_its_loop_is_no_answer(health: HealthRegistry) -> None:
    calls: list[int] = []

    async def slow_for_a_while() -> Health | None:
        calls.append(1)
        if 1 < len(calls) < 4:
            await asyncio.Event().wait()
        return _degraded() if len(calls) > 1 else None

    health.register("slow", slow_for_a_while, timeout=LONG, cache=0.001)
    first = _ask_async(health)
    assert wait_until(lambda: _ask_async(health).checks == first.checks and len(calls) == 3, LONG)
    assert _ask_async(health).checks["slow"].cause == "slow"


def test_who_breaks_off_the_first_asking_keeps_nobody_from_another(health: HealthRegistry) -> None:
    async def leave_early() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(health.acheck(), SHORT)

    calls: list[int] = []

    async def slow() -> bool:
        calls.append(1)
        return len(calls) > 1 or await asyncio.Event().wait()

    health.register("slow", slow, timeout=LONG, cache=LONG)
    asyncio.run(leave_early())
    assert _ask_async(health).ok


def test_secrets_and_long_texts_stay_inside(health: HealthRegistry) -> None:
    def leak() -> bool:
        raise OSError(
            "postgres://app:hunter2@db/x refused\npassword=hunter2 Bearer hunter2hunter2 " + "x" * 9999
        )

    health.register("leak", leak)
    message = health.check().checks["leak"].message
    assert "hunter2" not in message
    assert "\n" not in message
    assert len(message) <= 500


def test_liveness_asks_only_those_it_is_to_ask(health: HealthRegistry) -> None:
    assert health.alive().ok
    health.register("away", lambda: False)
    assert health.alive().ok
    assert asyncio.run(health.aalive()).ok
    health.register("broken", lambda: False, live=True)
    assert not health.alive().ready
    assert list(asyncio.run(health.aalive()).checks) == ["broken"]


def test_wrong_registrations(health: HealthRegistry) -> None:
    health.register("x", lambda: True)
    for name, check, options in [
        ("x", lambda: True, {}),
        ("y", 5, {}),
        ("z", lambda: True, {"timeout": 0}),
        ("a", lambda: True, {"cache": -1}),
    ]:
        with pytest.raises(ConfigError, match=repr(name)):
            health.register(name, check, **options)  # type: ignore[arg-type]
    assert list(health.check().checks) == ["x"]


def test_a_forked_child_asks_for_itself(health: HealthRegistry, hanging: threading.Event) -> None:
    parent = os.getpid()
    health.register("slow", lambda: os.getpid() != parent or hanging.wait(LONG), timeout=LONG, cache=0)
    asking = threading.Thread(target=health.check)
    asking.start()
    child = os.fork()
    if not child:
        os._exit(0 if health.check().ok else 1)
    _, status = os.waitpid(child, 0)
    hanging.set()
    asking.join(LONG)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_publisher_in_memory_mode(health: HealthRegistry) -> None:
    with Publisher(transport=InMemoryTransport(), service="tests") as publisher:
        health.register("kafka-producer", publisher, cache=0)
        assert health.check().ok
    report = health.check()
    assert report.checks["kafka-producer"].cause == "closed"
    assert not report.ready


def test_readiness_does_not_flap_while_kafka_is_away(tmp_path: Path) -> None:
    health = HealthRegistry()
    with EmbeddedBroker() as broker:
        publisher = Publisher(
            brokers=broker.bootstrap_servers,
            service="tests",
            store_dir=tmp_path,
            store_after=0.2,
            outage_after=1,
            close_timeout=0.1,
        )
        health.register("kafka", publisher, timeout=1.5, cache=0)
        publisher.produce("t", b"1").wait(LONG)
        assert health.check().ok
    seen = []
    with publisher:

        def is_stored() -> bool:
            publisher.produce("t", b"2")
            seen.append(health.check())
            return publisher.stats().stored > 1 and len(seen) > 2

        assert wait_until(is_stored, LONG)
    assert {report.ready for report in seen} == {True}
    assert seen[-1].status is HealthStatus.DEGRADED
    assert "kept in the store" in seen[-1].message
