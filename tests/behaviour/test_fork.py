"""Forked children publish through a client of their own, and flush at their own exit."""

from __future__ import annotations

import pytest

from support.kafka_reader import read_topic
from support.programs import Run
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic


@pytest.mark.parametrize("how", ["os.fork", "multiprocessing"])
def test_parent_and_child_deliver_everything(broker: EmbeddedBroker, run: Run, how: str) -> None:
    topic = unique_topic()
    broker.create_topic(topic)
    run("forked_exit", how, topic)
    who = sorted(record.json()["who"] for record in read_topic(broker.bootstrap_servers, topic, 5))
    assert len(who) == 5
    assert {"parent", "parent, again", "parent, last", "child"} < set(who)
