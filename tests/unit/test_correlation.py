"""correlation(): each thread and each task has its own, blocks nest, and one object may serve many."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.books import LONG, settle
from support.events import OrderPlaced
from tidings import Publisher, correlation, current_correlation_id
from tidings.testing.memory import InMemoryTransport


@given(st.recursive(st.just([]), lambda inner: st.lists(inner, max_size=4), max_leaves=30))
def test_blocks_nest(shape: list[object]) -> None:
    def enter(shape: list[object], name: str) -> None:
        before = current_correlation_id()
        with correlation(name) as given:
            assert given == current_correlation_id() == name
            for number, inner in enumerate(shape):
                assert isinstance(inner, list)
                enter(inner, f"{name}.{number}")
                assert current_correlation_id() == name
        assert current_correlation_id() == before

    enter(shape, "root")
    assert current_correlation_id() is None


def test_an_error_leaves_the_block_too() -> None:
    with pytest.raises(ZeroDivisionError), correlation("a"):
        _ = 1 // 0
    assert current_correlation_id() is None


def test_a_new_thread_starts_without_one_and_a_new_task_with_its_makers() -> None:
    seen: list[str | None] = []

    async def look() -> None:
        seen.append(current_correlation_id())

    async def main() -> None:
        with correlation("task"):
            await asyncio.gather(look(), look())
            seen.append(await asyncio.to_thread(current_correlation_id))
        await look()

    with correlation("outer"):
        thread = threading.Thread(target=lambda: seen.append(current_correlation_id()))
        thread.start()
        thread.join(LONG)
        asyncio.run(main())
    assert seen == [None, "task", "task", "task", "outer"]


def test_tasks_do_not_mix(publisher: Publisher, transport: InMemoryTransport) -> None:
    async def work(name: str) -> None:
        with correlation(name):
            for _ in range(10):
                await asyncio.sleep(0)
                publisher.publish(OrderPlaced(name))
                with correlation(f"{name}-inner"):
                    await asyncio.sleep(0)
                    publisher.publish(OrderPlaced(f"{name}-inner"))

    async def main() -> None:
        await asyncio.gather(*(work(f"task-{number}") for number in range(20)))

    asyncio.run(main())
    settle(publisher)
    assert len(transport.records) == 400
    for envelope in transport.events():
        assert envelope["correlation_id"] == envelope["data"]["order_id"]


def test_threads_do_not_mix(publisher: Publisher, transport: InMemoryTransport) -> None:
    def work(name: str) -> None:
        for _ in range(100):
            with correlation(name):
                publisher.publish(OrderPlaced(name))

    threads = [threading.Thread(target=work, args=(f"thread-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    settle(publisher)
    for envelope in transport.events():
        assert envelope["correlation_id"] == envelope["data"]["order_id"]


def test_one_object_serves_many_tasks_and_threads_at_once() -> None:
    shared = correlation("shared")
    wrong: list[str | None] = []

    async def work(name: str) -> None:
        with correlation(name):
            for _ in range(20):
                with shared:
                    await asyncio.sleep(0)
                    if current_correlation_id() != "shared":
                        wrong.append(current_correlation_id())
                    with shared:
                        await asyncio.sleep(0)
                await asyncio.sleep(0)
                if current_correlation_id() != name:
                    wrong.append(current_correlation_id())

    async def main() -> None:
        await asyncio.gather(*(work(f"task-{number}") for number in range(10)))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert not wrong
    with shared, shared:
        pass
    assert current_correlation_id() is None


def test_left_in_another_context_it_does_no_harm() -> None:
    """As an async generator does that is finished by the event loop."""
    block = correlation("a")
    contextvars.copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    assert current_correlation_id() is None
