"""Publishes in children of multiprocessing, through a publisher made at import, and forgets every close().

Arguments: the start method, and whether the parent publishes before it makes children.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tidings import Publisher

method, first = sys.argv[1:]
publisher = Publisher.from_env()


def publish(start: int) -> int:
    for number in range(start, start + 10):
        publisher.publish_json(os.environ["TOPIC"], number)
    return os.getpid()


if __name__ == "__main__":
    if first == "parent":
        publish(-10)
    context: Any = multiprocessing.get_context(method)
    processes = [context.Process(target=publish, args=(start,)) for start in (0, 10)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert os.getpid() not in set(pool.map(publish, (20, 30, 40)))
    if first != "parent":
        publish(-10)
