"""Processes killed at every step: committed is published at least once, rolled back never."""

from __future__ import annotations

from support.outbox_crashes import crash_everywhere
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic


def test_every_step_may_be_the_last(postgres_dsn: str, broker: EmbeddedBroker) -> None:
    topic = unique_topic()
    broker.create_topic(topic, 2)
    copies = crash_everywhere(postgres_dsn, broker.bootstrap_servers, topic)
    assert {step: sorted(set(each.values())) for step, each in copies.items()} == {
        "before_commit": [],
        "after_commit": [1],
        "taken": [1],
        "middle": [1, 2],
        "published": [2],
        "finishing": [2],
        "finished": [1],
    }
