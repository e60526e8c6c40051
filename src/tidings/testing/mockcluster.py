"""EmbeddedCluster: librdkafka's mock cluster inside this process, for unit tests and the child process."""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from typing import Any, Self

from tidings.testing.controls import MockControls, Topics, with_partitions
from tidings.testing.errors import EmbeddedBrokerError
from tidings.testing.librdkafka import error_codes, library

_log = logging.getLogger("tidings.testing")
_PRODUCER = 0  # RD_KAFKA_PRODUCER
_announced = threading.Event()


def announce() -> None:
    """Say once in the life of a process that this is no Kafka to keep events in."""
    if not _announced.is_set():
        _announced.set()
        _log.warning("The embedded Kafka broker is for development only: it keeps nothing and checks little.")


class EmbeddedCluster(MockControls):
    """Brokers on threads of this process: up in 2 ms, gone with the process.

    ``brokers`` is how many there are, numbered from 1; ``topics`` are created at once: a mapping of names to
    partitions, or names alone (4 partitions). EmbeddedBroker is the same in a process of its own; use this
    one where a test makes many, or where forking is not in play: its threads do not survive a fork.

    It is a mock: no TLS, SASL or ACLs, no limits on sizes or names, no deduplication, and a partition keeps
    its newest 5 MiB. Raises EmbeddedBrokerError.
    """

    def __init__(self, brokers: int = 1, topics: Topics | None = None) -> None:
        self.brokers = brokers
        self._topics = with_partitions(topics)
        self._lock = threading.Lock()
        self._client: int | None = None
        self._cluster: int | None = None
        self._owner = 0

    def start(self) -> Self:
        """Start the brokers; a started cluster stays as it is."""
        if self._cluster is not None:
            return self
        announce()
        lib = library()
        self._client = _new_client(lib)
        self._cluster = lib.rd_kafka_mock_cluster_new(self._client, self.brokers)
        self._owner = os.getpid()
        if self._cluster is None:
            lib.rd_kafka_destroy(self._client)
            raise EmbeddedBrokerError(f"librdkafka could not start {self.brokers} mock brokers")
        # A group of classic consumers waits 3 s for more members unless told not to.
        self._call("group_initial_rebalance_delay_ms", 100)
        # The consumers of KIP-848 take both from the broker; its defaults of 3 s and 30 s are slow for tests.
        self._call("set_group_consumer_heartbeat_interval_ms", 200)
        self._call("set_group_consumer_session_timeout_ms", 10_000)
        # 0 unless set, which is nobody's number: admin calls would wait for that controller for ever.
        self._call("set_controller_id", 1)
        for name, partitions in self._topics.items():
            self.create_topic(name, partitions)
        return self

    def stop(self) -> None:
        """Stop the brokers; clients see their connections drop. Does nothing when they are not running."""
        # After a fork the cluster's threads are only in the parent: destroying it here would wait for them.
        if self._cluster is None or self._owner != os.getpid():
            return
        with self._lock:
            client, cluster = self._client, self._cluster
            self._client = self._cluster = None
            if cluster is not None:
                library().rd_kafka_mock_cluster_destroy(cluster)  # before its client, or librdkafka aborts
                library().rd_kafka_destroy(client)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """``127.0.0.1:port`` of every broker, separated by commas."""
        servers: str = self._call("bootstraps")
        return servers

    def _call(self, command: str, *arguments: Any) -> Any:
        if command == "error_codes":
            return error_codes()
        lib = library()
        # Before the lock: a fork copies it locked if another thread holds it at that moment.
        if self._cluster is not None and self._owner != os.getpid():
            raise EmbeddedBrokerError("the embedded cluster is in the process that forked this one")
        with self._lock:
            if self._cluster is None:
                raise EmbeddedBrokerError("the embedded broker is not running")
            if command == "bootstraps":
                return lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
            if command == "requests":
                return _requests(lib, self._cluster)
            function = getattr(lib, f"rd_kafka_mock_{command}")
            code = function(self._cluster, *_as_c(arguments))
        if code:
            text = lib.rd_kafka_err2str(code).decode()
            raise EmbeddedBrokerError(f"{command}{arguments} was refused: {text}")
        return None


def _new_client(lib: ctypes.CDLL) -> int:
    """The client that a mock cluster lives in; it has no servers of its own and connects to nothing."""
    text = ctypes.create_string_buffer(512)
    conf = lib.rd_kafka_conf_new()
    for name, value in (("client.id", "tidings-embedded"), ("log_level", "3")):
        if lib.rd_kafka_conf_set(conf, name.encode(), value.encode(), text, len(text)):
            lib.rd_kafka_conf_destroy(conf)
            raise EmbeddedBrokerError(text.value.decode())
    client: int | None = lib.rd_kafka_new(_PRODUCER, conf, text, len(text))
    if client is None:
        lib.rd_kafka_conf_destroy(conf)
        raise EmbeddedBrokerError(text.value.decode())
    return client


def _as_c(arguments: tuple[Any, ...]) -> list[Any]:
    """Text as bytes, and a list of numbers as its length and a C array."""
    out: list[Any] = []
    for argument in arguments:
        if isinstance(argument, str):
            out.append(argument.encode())
        elif isinstance(argument, list):
            out += [len(argument), (ctypes.c_int * len(argument))(*argument)]
        else:
            out.append(argument)
    return out


def _requests(lib: ctypes.CDLL, cluster: int) -> list[int]:
    count = ctypes.c_size_t()
    rows = lib.rd_kafka_mock_get_requests(cluster, ctypes.byref(count))
    numbers = [int(lib.rd_kafka_mock_request_api_key(rows[i])) for i in range(count.value)]
    lib.rd_kafka_mock_request_destroy_array(rows, count)
    return numbers
