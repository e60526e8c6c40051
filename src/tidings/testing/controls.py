"""What a test can do to an embedded broker: topics, outages, delays and injected errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

# The requests librdkafka's mock answers, by their names and numbers in Kafka's protocol.
APIS: dict[str, int] = {
    "Produce": 0,
    "Fetch": 1,
    "ListOffsets": 2,
    "Metadata": 3,
    "OffsetCommit": 8,
    "OffsetFetch": 9,
    "FindCoordinator": 10,
    "JoinGroup": 11,
    "Heartbeat": 12,
    "LeaveGroup": 13,
    "SyncGroup": 14,
    "ApiVersions": 18,
    "InitProducerId": 22,
    "OffsetForLeaderEpoch": 23,
    "AddPartitionsToTxn": 24,
    "AddOffsetsToTxn": 25,
    "EndTxn": 26,
    "TxnOffsetCommit": 28,
    "ConsumerGroupHeartbeat": 68,
    "GetTelemetrySubscriptions": 71,
    "PushTelemetry": 72,
}
_API_NAMES = {number: name for name, number in APIS.items()}
# The mock's own number for a topic that a client asks for and nobody made.
PARTITIONS = 4

Topics = Mapping[str, int] | Iterable[str]


def with_partitions(topics: Topics | None) -> dict[str, int]:
    """``{"orders": 6}`` as it is; ``["orders"]`` with the default number of partitions."""
    if topics is None:
        return {}
    if isinstance(topics, Mapping):
        return dict(topics)
    return dict.fromkeys(topics, PARTITIONS)


class MockControls(ABC):
    """The commands that EmbeddedBroker and EmbeddedCluster share.

    Every method raises EmbeddedBrokerError when the broker is not running or refuses, and ValueError for a
    request or an error name that Kafka does not have.
    """

    brokers: int

    @abstractmethod
    def _call(self, command: str, *arguments: Any) -> Any:
        """Run one command of the mock cluster, wherever the cluster is."""

    def create_topic(
        self, name: str, partitions: int = PARTITIONS, *, replication: int | None = None
    ) -> None:
        """Create a topic. Not needed for the default of 4 partitions: an unknown topic is created when asked
        for.

        ``replication`` (default: 3, or the number of brokers if that is smaller) is only reported, not done.
        """
        self._call("topic_create", name, partitions, replication or min(3, self.brokers))

    def delete_topic(self, name: str) -> None:
        """Delete a topic and its records. A client that asks for it again creates it anew."""
        self._call("topic_delete", name)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Delete the records below the offset ``before``, as retention does."""
        self._call("partition_delete_records", topic, partition, before)

    def down(self, broker: int | None = None) -> None:
        """Take one broker (numbered from 1) or all of them away: connections drop, new ones are refused.

        Leaders do not move, and the records are still there after ``up``.
        """
        self._call("broker_set_down", -1 if broker is None else broker)

    def up(self, broker: int | None = None) -> None:
        """Bring one broker or all of them back, at the same addresses."""
        self._call("broker_set_up", -1 if broker is None else broker)

    def delay(self, ms: int, broker: int | None = None) -> None:
        """Answer every request ``ms`` milliseconds late, on one broker or all of them; 0 ends it."""
        self._call("broker_set_rtt", -1 if broker is None else broker, ms)

    def fail(self, api: str | int, *codes: str | int, times: int = 1) -> None:
        """Answer the next requests of this kind with errors, one each, in this order, ``times`` over.

        ``api`` is a name such as "Produce", "Metadata" or "InitProducerId", or its number in Kafka's
        protocol; a code is a number or a name such as "TOPIC_AUTHORIZATION_FAILED". "_TRANSPORT" drops the
        connection.
        """
        numbers = [self._code(code) for code in codes] * times
        self._call("push_request_errors_array", api_number(api), numbers)

    def clear_failures(self, api: str | int | None = None) -> None:
        """Forget the errors that ``fail`` still holds, for one kind of request or (the default) for all."""
        for number in APIS.values() if api is None else (api_number(api),):
            self._call("clear_request_errors", number)

    def fail_topic(self, topic: str, code: str | int) -> None:
        """Answer every question about this topic (metadata) with an error, until it is set to 0."""
        self._call("topic_set_error", topic, self._code(code))

    def set_leader(self, topic: str, partition: int, broker: int | None) -> None:
        """Make a broker the partition's leader; None leaves the partition without one."""
        self._call("partition_set_leader", topic, partition, -1 if broker is None else broker)

    def set_coordinator(self, group_id: str, broker: int) -> None:
        """Make a broker the coordinator of a consumer group."""
        self._call("coordinator_set", "group", group_id, broker)

    def advertise(self, broker: int, host: str, port: int) -> None:
        """Tell clients another address for a broker: that of a proxy which a test has put in front of it."""
        self._call("broker_set_host_port", broker, host, port)

    def track_requests(self) -> None:
        """Write down every request from here on, for ``requests``; forget what was written down before."""
        self._call("start_request_tracking")
        self._call("clear_requests")

    def requests(self) -> list[str]:
        """The requests since ``track_requests``, in order, by name; unknown ones by number."""
        numbers: list[int] = self._call("requests")
        return [_API_NAMES.get(number, str(number)) for number in numbers]

    def _code(self, code: str | int) -> int:
        if isinstance(code, int):
            return code
        codes: dict[str, int] = self._call("error_codes")
        if code not in codes:
            raise ValueError(f"Kafka has no error {code!r}; names are like '_TRANSPORT' or 'INVALID_RECORD'")
        return codes[code]


def api_number(api: str | int) -> int:
    """The number of a request in Kafka's protocol; ValueError for a name the mock does not answer."""
    if isinstance(api, int):
        return api
    if api not in APIS:
        raise ValueError(f"the embedded broker has no request {api!r}; it has {', '.join(APIS)}")
    return APIS[api]
