"""Three real nodes: one may go, two may not, and each can be killed, paused and brought back by itself."""

from __future__ import annotations

import uuid

import pytest
from confluent_kafka.admin import AdminClient

from support.plain_client import read, send
from tidings.testing import RealKafka
from tidings.testing.realkafka import Settings


@pytest.fixture
def topic(tidings_real_cluster: RealKafka) -> str:
    name = f"topic-{uuid.uuid4()}"
    tidings_real_cluster.create_topic(name, partitions=3)
    return name


def plain(kafka: RealKafka) -> Settings:
    return {"brokers": kafka.bootstrap_servers}


def test_a_topic_has_a_copy_on_each_of_three_nodes(tidings_real_cluster: RealKafka, topic: str) -> None:
    assert len(tidings_real_cluster.bootstrap_servers.split(",")) == 3
    metadata = AdminClient({"bootstrap.servers": tidings_real_cluster.bootstrap_servers}).list_topics(
        topic, timeout=10
    )
    assert sorted(metadata.brokers) == [1, 2, 3]
    assert [sorted(p.replicas) for p in metadata.topics[topic].partitions.values()] == [[1, 2, 3]] * 3


@pytest.mark.parametrize("node", [1, 2, 3])
def test_one_node_may_be_killed(tidings_real_cluster: RealKafka, topic: str, node: int) -> None:
    tidings_real_cluster.kill(node)
    assert send(plain(tidings_real_cluster), topic) is None
    tidings_real_cluster.start_node(node)
    assert read(plain(tidings_real_cluster), topic) == b"value"


def test_one_node_may_be_paused(tidings_real_cluster: RealKafka, topic: str) -> None:
    tidings_real_cluster.pause(2)
    assert send(plain(tidings_real_cluster), topic) is None
    tidings_real_cluster.resume(2)
    tidings_real_cluster.wait_ready()


def test_each_node_may_be_restarted_in_turn(tidings_real_cluster: RealKafka, topic: str) -> None:
    for node in (1, 2, 3):
        tidings_real_cluster.restart(node)
        assert send(plain(tidings_real_cluster), topic) is None


def test_without_two_nodes_nothing_is_taken_until_they_are_back(
    tidings_real_cluster: RealKafka, topic: str
) -> None:
    tidings_real_cluster.kill(1)
    tidings_real_cluster.kill(3)
    error = send(plain(tidings_real_cluster), topic, timeout=3)
    assert error is not None
    assert error.name() == "_MSG_TIMED_OUT"
    tidings_real_cluster.heal()
    assert send(plain(tidings_real_cluster), topic) is None


def test_breaks_two_nodes_for_the_next_test(tidings_real_cluster: RealKafka) -> None:
    tidings_real_cluster.kill(1)
    tidings_real_cluster.pause(2)


def test_finds_all_nodes_whole_again(tidings_real_cluster: RealKafka, topic: str) -> None:
    assert len({tidings_real_cluster.pid(node) for node in (1, 2, 3)}) == 3
    assert send(tidings_real_cluster.secure_settings(), topic) is None
