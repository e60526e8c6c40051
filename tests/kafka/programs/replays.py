"""Replays letters slowly until it is killed: brokers, dead-letter topic, name."""

from __future__ import annotations

import sys

from support.replaying import KafkaSender
from tidings.kafka.dead_letters import DeadLetterTopic
from tidings.letters.replay import Replay
from tidings.settings import Settings

brokers, topic, name = sys.argv[1:]
source = DeadLetterTopic(Settings(brokers=brokers), topic)
Replay(source=source, publisher=KafkaSender(brokers), all=True, rate=50, name=name).run()
