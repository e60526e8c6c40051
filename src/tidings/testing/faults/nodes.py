"""Faults of Kafka's nodes and topics, each a context manager that heals at its end."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from tidings.testing.kafkaadmin import admin_client
from tidings.testing.realkafka import RealKafka

_REQUEST_TIMEOUT = 30.0


@contextmanager
def killed(kafka: RealKafka, *nodes: int) -> Iterator[None]:
    """SIGKILL nodes; at the end they are started on their old disks."""
    for node in nodes:
        kafka.kill(node)
    try:
        yield
    finally:
        for node in nodes:
            kafka.start_node(node, wait=False)
        kafka.wait_ready()


@contextmanager
def paused(kafka: RealKafka, node: int) -> Iterator[None]:
    """SIGSTOP a node: its connections stay open and nothing is answered."""
    kafka.pause(node)
    try:
        yield
    finally:
        kafka.resume(node)


@contextmanager
def disk_full(kafka: RealKafka, node: int) -> Iterator[None]:
    """Every write of a node to a file fails, as on a full disk: Kafka then ends itself. Linux only.

    The limit is the process's own (RLIMIT_FSIZE), so that no disk has to be made or filled for it, and the
    node is started again without it.
    """
    pid = kafka.pid(node)
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        kafka.kill(node)
        kafka.start_node(node)


@contextmanager
def topic_config(kafka: RealKafka, topic: str, config: Mapping[str, str]) -> Iterator[None]:
    """A topic's own configuration, such as ``{"min.insync.replicas": "3"}``; its defaults at the end."""
    admin = admin_client(kafka.bootstrap_servers)
    _alter(admin, topic, config, AlterConfigOpType.SET)
    try:
        yield
    finally:
        _alter(admin, topic, config, AlterConfigOpType.DELETE)


def leader_of(kafka: RealKafka, topic: str, partition: int = 0) -> int:
    """The node that leads a partition now."""
    metadata = admin_client(kafka.bootstrap_servers).list_topics(topic, timeout=_REQUEST_TIMEOUT)
    return metadata.topics[topic].partitions[partition].leader


def _alter(admin: AdminClient, topic: str, config: Mapping[str, str], how: AlterConfigOpType) -> None:
    entries = [ConfigEntry(name, value, incremental_operation=how) for name, value in config.items()]
    asked = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for answer in admin.incremental_alter_configs([asked], request_timeout=_REQUEST_TIMEOUT).values():
        answer.result(_REQUEST_TIMEOUT)
