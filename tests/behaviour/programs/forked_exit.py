"""Publishes in the parent, forks, publishes in the child, and forgets every close()."""

from __future__ import annotations

import os
import sys

from tidings import Publisher

how, topic = sys.argv[1:]
publisher = Publisher.from_env()
publisher.publish_json(topic, {"who": "parent"}).wait(30)
inherited = publisher.publish_json(topic, {"who": "parent, again"})


def child() -> None:
    try:
        inherited.wait(1)
    except RuntimeError:
        publisher.publish_json(topic, {"who": "child: inherited raises"})
    else:
        publisher.publish_json(topic, {"who": "child: inherited was done"})
    publisher.publish_json(topic, {"who": "child"})
    assert publisher.stats().accepted == 2


if how == "os.fork":
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
else:
    import multiprocessing

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == 0
publisher.publish_json(topic, {"who": "parent, last"})
assert publisher.stats().accepted == 3
