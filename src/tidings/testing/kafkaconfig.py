"""What a node of a real Kafka is told: its ports, its listeners, and settings that suit tests."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidings.testing.certificates import Certificates
from tidings.testing.errors import RealKafkaError

# Below the ports that systems hand out by themselves (from 32768 on Linux, 49152 on macOS). While a node is
# down, clients keep calling its port. Were it one of those, a client would in time be given the very port it
# calls, be connected to itself, and the node could not come back.
_PORTS = range(10_000, 32_000)
_PORTS_EACH = 6
_SECURITY = "org.apache.kafka.common.security."


@dataclass(frozen=True)
class Address:
    """A node's number and ports; everything listens on 127.0.0.1 only.

    ``front`` is where clients of the node's ``fronted`` listener are told to call: a proxy's port.
    """

    node: int
    plain: int
    secure: int
    tls: int
    controller: int
    fronted: int
    front: int


def choose_addresses(nodes: int) -> list[Address]:
    """Free ports for nodes 1 to ``nodes``."""
    ports = _free_ports(nodes * _PORTS_EACH)
    return [Address(node, *(ports.pop() for _ in range(_PORTS_EACH))) for node in range(1, nodes + 1)]


def _free_ports(count: int) -> list[int]:
    taken: list[socket.socket] = []  # all held at once, so that none is found twice
    try:
        for port in random.sample(_PORTS, 50 * count):
            candidate = socket.socket()
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                candidate.close()
                continue
            taken.append(candidate)
            if len(taken) == count:
                return [sock.getsockname()[1] for sock in taken]
        raise RealKafkaError(
            f"{count} free ports between {_PORTS.start} and {_PORTS.stop} could not be found"
        )
    finally:
        for sock in taken:
            sock.close()


def render(
    me: Address,
    everyone: Sequence[Address],
    data: Path,
    certificates: Certificates,
    users: Mapping[str, str],
    more: Mapping[str, str],
    *,
    fronted: bool = False,
) -> str:
    """The text of a node's server.properties; ``more`` is added last and overrides."""
    settings = {
        **_identity(me, everyone, data, fronted),
        **_security("secure", certificates),
        **_sasl(users),
        **_security("tls", certificates),
        "listener.name.tls.ssl.client.auth": "requested",  # a client may show a certificate, none has to
        **_replication(len(everyone)),
        **_FOR_TESTS,
        **more,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _identity(me: Address, everyone: Sequence[Address], data: Path, fronted: bool) -> dict[str, str]:
    clients = f"PLAIN://127.0.0.1:{me.plain},SECURE://127.0.0.1:{me.secure},TLS://127.0.0.1:{me.tls}"
    listening, advertised = clients, clients
    if fronted:
        listening += f",FRONTED://127.0.0.1:{me.fronted}"
        advertised += f",FRONTED://127.0.0.1:{me.front}"
    return {
        "process.roles": "broker,controller",
        "node.id": str(me.node),
        "controller.quorum.voters": ",".join(f"{a.node}@127.0.0.1:{a.controller}" for a in everyone),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{listening},CONTROLLER://127.0.0.1:{me.controller}",
        "advertised.listeners": advertised,
        "listener.security.protocol.map": (
            "PLAIN:PLAINTEXT,SECURE:SASL_SSL,TLS:SSL,CONTROLLER:PLAINTEXT,FRONTED:PLAINTEXT"
        ),
        "inter.broker.listener.name": "PLAIN",
        "log.dirs": str(data),
    }


def _security(listener: str, certificates: Certificates) -> dict[str, str]:
    prefix = f"listener.name.{listener}.ssl."
    return {
        f"{prefix}keystore.type": "PEM",
        f"{prefix}keystore.location": str(certificates.broker),
        f"{prefix}truststore.type": "PEM",
        f"{prefix}truststore.location": str(certificates.ca),
    }


def _sasl(users: Mapping[str, str]) -> dict[str, str]:
    # Kafka wants PLAIN's users here; those of SCRAM are put on the disk when it is formatted.
    passwords = " ".join(f'user_{user}="{password}"' for user, password in users.items())
    prefix, scram = "listener.name.secure.", f"{_SECURITY}scram.ScramLoginModule required;"
    return {
        f"{prefix}sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        f"{prefix}plain.sasl.jaas.config": f"{_SECURITY}plain.PlainLoginModule required {passwords};",
        f"{prefix}scram-sha-256.sasl.jaas.config": scram,
        f"{prefix}scram-sha-512.sasl.jaas.config": scram,
    }


def _replication(nodes: int) -> dict[str, str]:
    copies, in_sync = str(min(3, nodes)), "2" if nodes >= 3 else "1"
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": "3",
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": "3",
    }


_FOR_TESTS = {
    # An unknown topic comes into being as it does on the embedded broker.
    "auto.create.topics.enable": "true",
    "num.partitions": "4",
    "unclean.leader.election.enable": "false",
    # Everything is allowed until a test makes an ACL; the plaintext listener's ANONYMOUS may always make one.
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    "super.users": "User:ANONYMOUS",
    # Consumer groups form and notice a dead member in tests' time, not in minutes.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "group.consumer.min.heartbeat.interval.ms": "200",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    # A killed node is noticed after 3 s, not after 9, and leaves the in-sync replicas after 5, not after 30.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "replica.lag.time.max.ms": "5000",
    # Few threads and small buffers: three nodes share two cores with the tests.
    "num.network.threads": "2",
    "num.io.threads": "2",
    "background.threads": "2",
    "group.coordinator.threads": "1",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "num.recovery.threads.per.data.dir": "1",
    "log.retention.hours": "1",
}
