"""Publishes and waits under gevent's monkey patching while a greenlet counts: the hub must go on."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import gevent  # noqa: E402

from tidings import Publisher, State  # noqa: E402

ticks = 0


def count() -> None:
    global ticks  # noqa: PLW0603
    while True:
        ticks += 1
        gevent.sleep(0.001)


counter = gevent.spawn(count)
topic = sys.argv[1]
with Publisher.from_env() as publisher:
    publisher.publish_json(topic, 0).wait(30)
    before = ticks
    gevent.sleep(1)  # the native poll thread waits in librdkafka meanwhile
    idle_ticks = ticks - before
    waiting = [gevent.spawn(lambda n=n: publisher.publish_json(topic, n).wait(30)) for n in range(500)]
    gevent.joinall(waiting, timeout=60)
    assert all(greenlet.value.state is State.DELIVERED for greenlet in waiting)
    called: list[object] = []
    publisher.publish_json(topic, 1).add_done_callback(called.append)
    assert publisher.flush(30)
    assert publisher.health(5).ok
    assert publisher.stats().delivered == 502
for _ in range(1000):
    if called:
        break
    gevent.sleep(0.01)
assert called
# A hub that poll() stops gets 20 turns a second at most (poll waits 50 ms); this one had hundreds.
assert idle_ticks > 100, idle_ticks
print("ok", idle_ticks)
