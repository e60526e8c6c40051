"""Nodes of Kafka that are killed, restarted, paused, full or too few, under load."""

from __future__ import annotations

import time

import pytest
from confluent_kafka.cimpl import NewTopic

from cluster.conftest import Kept, MakeTrial
from tidings.testing import RealKafka
from tidings.testing.faults import Trial, nodes
from tidings.testing.kafkaadmin import admin_client

# Three JVMs come and go on the cores that the load has too.
pytestmark = pytest.mark.timeout(400)


def test_the_leader_is_killed_five_times(trial: Trial, cluster: RealKafka, kept: Kept) -> None:
    trial.begin()
    for _ in range(5):
        with nodes.killed(cluster, nodes.leader_of(cluster, trial.topic)):
            time.sleep(3)
        time.sleep(1.5)
    verdict = trial.end()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.lost, verdict.refused) == (0, 0, 0)


def test_a_rolling_restart(trial: Trial, cluster: RealKafka, kept: Kept) -> None:
    trial.begin()
    for node in (1, 2, 3):
        cluster.restart(node)
        time.sleep(2)
    verdict = trial.end()
    kept(verdict)
    assert verdict.refused == 0
    assert (verdict.duplicates, verdict.order_violations) == (0, 0)


def test_two_of_three_are_killed_and_the_store_fills_then_drains(
    make_trial: MakeTrial, cluster: RealKafka, kept: Kept
) -> None:
    trial = make_trial({"KAFKA_OUTAGE_AFTER": "4s"})
    trial.begin()
    with nodes.killed(cluster, 1, 2):
        stored = trial.load.wait_until(lambda life: life.stats is not None and life.stats.stored > 1000).stats
        time.sleep(10)
        later = trial.load.lives[-1].stats
    assert stored is not None
    assert later is not None
    assert later.stored > stored.stored
    verdict = trial.end()
    kept(verdict)
    assert (verdict.stored, verdict.dead_lettered, verdict.refused) == (0, 0, 0)


@pytest.mark.parametrize(
    ("delivery_timeout", "seconds"), [("120s", 15), ("5s", 15)], ids=["15 s", "past the delivery timeout"]
)
def test_the_leader_hangs(
    make_trial: MakeTrial, cluster: RealKafka, kept: Kept, delivery_timeout: str, seconds: float
) -> None:
    trial = make_trial({"KAFKA_DELIVERY_TIMEOUT": delivery_timeout})
    trial.begin()
    with nodes.paused(cluster, nodes.leader_of(cluster, trial.topic)):
        time.sleep(seconds)
    verdict = trial.end()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)


def test_a_nodes_disk_is_full(trial: Trial, cluster: RealKafka, kept: Kept) -> None:
    trial.begin()
    leader = nodes.leader_of(cluster, trial.topic)
    with nodes.disk_full(cluster, leader):
        time.sleep(10)
        assert "Error" in cluster.logs(leader)
    verdict = trial.end()
    kept(verdict)
    assert verdict.refused == 0


def test_too_few_copies_in_sync(make_trial: MakeTrial, cluster: RealKafka, kept: Kept) -> None:
    trial = make_trial({"KAFKA_DELIVERY_TIMEOUT": "5s", "KAFKA_OUTAGE_AFTER": "4s"})
    trial.begin()
    stricter = nodes.topic_config(cluster, trial.topic, {"min.insync.replicas": "3"})
    with stricter, nodes.killed(cluster, 3):
        before = trial.load.lives[-1].stats
        time.sleep(15)
        after = trial.load.lives[-1].stats
    assert before is not None
    assert after is not None
    assert after.delivered - before.delivered < after.accepted - before.accepted  # it was unmet
    verdict = trial.end()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)


def test_one_partition_of_six_has_too_few_copies(
    make_trial: MakeTrial, cluster: RealKafka, kept: Kept
) -> None:
    trial = make_trial({"KAFKA_DELIVERY_TIMEOUT": "15s", "KAFKA_OUTAGE_AFTER": "5s"})
    copies = [[1, 3], *[[1, 2], [2, 1]] * 3][:6]
    admin = admin_client(cluster.bootstrap_servers)
    topics = [
        NewTopic(trial.topic, 6, replica_assignment=copies, config={"min.insync.replicas": "2"}),
        NewTopic(trial.dead_letters, 1),
    ]
    for answer in admin.create_topics(topics).values():
        answer.result(30)
    trial.start()
    with nodes.killed(cluster, 3):
        time.sleep(10)
        before = trial.load.lives[-1].stats
        time.sleep(35)
        after = trial.load.lives[-1].stats
    assert before is not None
    assert after is not None
    flowed, accepted = after.delivered - before.delivered, after.accepted - before.accepted
    assert accepted * 0.6 < flowed  # five of six partitions
    assert after.stored + after.in_flight > accepted * 0.05
    verdict = trial.end()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)
