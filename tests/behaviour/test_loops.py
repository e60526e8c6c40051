"""Other worlds than plain threads and asyncio's own loop: gevent's monkey patching, uvloop."""

from __future__ import annotations

import pytest

from support.kafka_reader import read_topic
from support.programs import Run
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic


@pytest.mark.parametrize(("program", "count"), [("gevent_hub", 502), ("on_uvloop", 3000)])
def test_everything_arrives(broker: EmbeddedBroker, run: Run, program: str, count: int) -> None:
    pytest.importorskip({"gevent_hub": "gevent", "on_uvloop": "uvloop"}[program])
    topic = unique_topic()
    broker.create_topic(topic)
    assert run(program, topic).stdout.startswith("ok")
    assert len(read_topic(broker.bootstrap_servers, topic, count)) == count
