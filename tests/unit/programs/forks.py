"""Forks while publishing: children publish through an engine of their own. Arguments: the file and how."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable

from support.books import LONG, check_books, check_closed, settle
from support.events import OrderPlaced
from support.files import FileTransport
from tidings import Batch, Delivery, Publisher, PublisherClosed, State

path, how = sys.argv[1:]
logging.basicConfig(format="%(levelname)s %(message)s")
transport = FileTransport(path)
publisher = Publisher(transport=transport, service="forks")
parent = os.getpid()


def publish(who: str, count: int) -> list[Delivery]:
    return [publisher.publish(OrderPlaced(f"{who}-{number}")) for number in range(count)]


def refused(call: Callable[[], object]) -> None:
    try:
        call()
    except RuntimeError as error:
        if "parent process" not in str(error):
            raise
    else:
        raise AssertionError("an inherited delivery can be waited for")


async def awaited(delivery: Delivery) -> None:
    await delivery


def wait(pid: int) -> None:
    assert os.waitpid(pid, 0)[1] == 0, "the child failed"


def fork(child: Callable[[], None]) -> int:
    """Run ``child`` in a forked process that ends as a program does: at its last line."""
    if (pid := os.fork()) == 0:
        child()
        sys.exit(0)
    return pid


def fresh() -> None:
    stats = check_books(publisher)
    assert (stats.accepted, stats.in_flight, stats.delivered, stats.rejected) == (0, 0, 0, 0)


if how == "exit":  # the child's own exit delivers; the parent's events in flight stay the parent's
    transport.down()
    mine = publish("parent", 10)

    def child() -> None:
        fresh()
        transport.up()
        publish("child", 10)

    wait(fork(child))
    assert publisher.stats().in_flight == 10
    transport.up()
    assert settle(publisher).delivered == 10
    assert {delivery.wait(LONG).state for delivery in mine} == {State.DELIVERED}

elif how == "inherited":
    import asyncio

    done = publisher.publish(OrderPlaced("parent-done"))
    done.wait(LONG)
    transport.down()
    open_one = publisher.publish(OrderPlaced("parent-open"))
    batch: Batch = publisher.publish_batch([OrderPlaced("parent-batch")])

    def child() -> None:
        refused(lambda: open_one.wait(LONG))
        refused(open_one.wait_safe)
        refused(lambda: open_one.add_done_callback(print))
        refused(lambda: asyncio.run(awaited(open_one)))
        refused(lambda: batch.wait(LONG))
        assert done.wait(0).state is State.DELIVERED
        assert publisher.flush(LONG), "nothing of the parent's is waited for"
        assert open_one.state is State.ACCEPTED

    wait(fork(child))
    transport.up()
    open_one.wait(LONG)
    batch.wait(LONG)

elif how == "closes":  # whoever closes closes its own engine

    def child() -> None:
        publish("child", 3)
        assert check_closed(publisher).delivered == 3
        assert publisher.stats().is_closed

    publish("parent", 3)
    wait(fork(child))
    assert not publisher.stats().is_closed
    publish("again", 3)
    assert check_closed(publisher).delivered == 6

    def orphan() -> None:
        assert publisher.stats().is_closed, "what was closed stays closed"
        try:
            publish("orphan", 1)
        except PublisherClosed:
            assert publisher.close().accepted == 0
        else:
            raise AssertionError("a fork has opened it again")

    wait(fork(orphan))

elif how == "busy":  # while four threads publish, children come and go, and grandchildren
    stop = threading.Event()
    counts = [0] * 4

    def go_on(which: int) -> None:
        while not stop.is_set():
            publisher.publish(OrderPlaced(f"busy-{which}-{counts[which]}"))
            counts[which] += 1
            if counts[which] % 5 == 0:
                time.sleep(0.001)

    threads = [threading.Thread(target=go_on, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()

    def grandchild() -> None:
        fresh()
        publish(f"grandchild-{os.getppid()}", 5)

    def child() -> None:
        fresh()
        publish(f"child-{os.getpid()}", 5)
        wait(fork(grandchild))
        publish(f"late-{os.getpid()}", 5)
        assert settle(publisher).delivered == 10

    for _ in range(4):
        pids = [fork(child) for _ in range(2)]
        for pid in pids:
            wait(pid)
    stop.set()
    for thread in threads:
        thread.join(LONG)
    stats = settle(publisher)
    assert stats.accepted == stats.delivered == sum(counts)
    assert os.getpid() == parent

elif how == "multiprocessing":

    def child() -> None:
        fresh()
        publish("child", 10)

    publish("parent", 10)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(LONG)
    assert process.exitcode == 0
    publish("parent-again", 10)

elif how == "dropped":  # a parent's publisher that nobody holds any more is not the child's to close
    transport.down()
    Publisher(transport=transport, service="dropped", close_timeout="200ms").publish(OrderPlaced("dropped"))
    started = time.monotonic()

    def child() -> None:
        transport.up()
        publish("child", 1)

    wait(fork(child))
    transport.up()

elif how == "from-thread":  # the fork is a thread's
    publish("parent", 5)
    results: list[int] = []

    def fork_here() -> None:
        if (pid := os.fork()) == 0:
            try:
                publish("child", 5)
                publisher.close(LONG)
            finally:
                os._exit(0)
        results.append(os.waitpid(pid, 0)[1])

    thread = threading.Thread(target=fork_here)
    thread.start()
    thread.join(LONG)
    assert results == [0]

elif how == "ids":  # parent and child never draw the same ids
    publish("parent", 100)

    def child() -> None:
        publish("child", 2000)

    pids = [fork(child) for _ in range(4)]
    publish("again", 2000)
    for pid in pids:
        wait(pid)

check_books(publisher)
