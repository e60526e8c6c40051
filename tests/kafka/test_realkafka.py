"""The real Kafka for tests, one node: every way in, and every way to break it."""

from __future__ import annotations

import uuid

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not marked so for mypy
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from support.plain_client import errors_of, read, send
from support.processes import is_alive
from tidings.testing import RealKafka, RealKafkaError
from tidings.testing.realkafka import Settings


@pytest.fixture
def topic(tidings_own_kafka: RealKafka) -> str:
    name = f"topic-{uuid.uuid4()}"
    tidings_own_kafka.create_topic(name, partitions=2)
    return name


def plain(kafka: RealKafka) -> Settings:
    return {"brokers": kafka.bootstrap_servers}


def test_an_event_goes_in_and_out_in_the_clear(tidings_own_kafka: RealKafka, topic: str) -> None:
    assert send(plain(tidings_own_kafka), topic) is None
    assert read(plain(tidings_own_kafka), topic) == b"value"


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "scram-sha-512"])
def test_an_event_goes_in_and_out_with_a_password(
    tidings_own_kafka: RealKafka, topic: str, mechanism: str
) -> None:
    settings = tidings_own_kafka.secure_settings(mechanism)
    assert send(settings, topic) is None
    assert read(settings, topic) == b"value"


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "scram-sha-512"])
def test_a_wrong_password_is_refused(tidings_own_kafka: RealKafka, mechanism: str) -> None:
    settings = {**tidings_own_kafka.secure_settings(mechanism), "password": "wrong"}
    assert "_AUTHENTICATION" in errors_of(settings, until="_AUTHENTICATION")


@pytest.mark.parametrize("with_certificate", [False, True])
def test_an_event_goes_in_and_out_over_tls(
    tidings_own_kafka: RealKafka, topic: str, with_certificate: bool
) -> None:
    settings = tidings_own_kafka.tls_settings(client_certificate=with_certificate)
    assert ("ssl_key" in settings) == with_certificate
    assert send(settings, topic) is None
    assert read(settings, topic) == b"value"


def test_the_certificate_does_not_have_the_name_localhost(tidings_own_kafka: RealKafka) -> None:
    settings = tidings_own_kafka.secure_settings(host="localhost")
    assert "_SSL" in errors_of(settings, until="_SSL")
    assert "_SSL" not in errors_of(tidings_own_kafka.secure_settings())


def test_a_topic_is_as_it_was_asked_for(tidings_own_kafka: RealKafka) -> None:
    name = f"topic-{uuid.uuid4()}"
    tidings_own_kafka.create_topic(name, partitions=3, replication=1, config={"max.message.bytes": "1234"})
    admin = AdminClient({"bootstrap.servers": tidings_own_kafka.bootstrap_servers})
    assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 3
    resource = ConfigResource(ResourceType.TOPIC, name)
    config = admin.describe_configs([resource])[resource].result(10)
    assert config["max.message.bytes"].value == "1234"
    with pytest.raises(KafkaException, match="already exists"):
        tidings_own_kafka.create_topic(name)
    tidings_own_kafka.delete_topic(name)
    with pytest.raises(KafkaException, match="UNKNOWN_TOPIC"):
        tidings_own_kafka.delete_topic(name)


def test_an_unknown_topic_comes_into_being_with_four_partitions(tidings_own_kafka: RealKafka) -> None:
    name = f"topic-{uuid.uuid4()}"
    assert send(plain(tidings_own_kafka), name) is None
    admin = AdminClient({"bootstrap.servers": tidings_own_kafka.bootstrap_servers})
    assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 4


def test_an_acl_keeps_others_out_of_its_topic_alone(tidings_own_kafka: RealKafka, topic: str) -> None:
    alice = tidings_own_kafka.secure_settings(user="alice")
    assert send(alice, topic) is None
    admin = AdminClient({"bootstrap.servers": tidings_own_kafka.bootstrap_servers})
    names = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:bob", "*")
    binding = AclBinding(*names, AclOperation.WRITE, AclPermissionType.ALLOW)
    admin.create_acls([binding])[binding].result(10)
    error = send(alice, topic)
    assert error is not None
    assert error.name() == "TOPIC_AUTHORIZATION_FAILED"
    assert send(alice, f"topic-{uuid.uuid4()}") is None
    assert send(plain(tidings_own_kafka), topic) is None


def test_a_killed_node_is_gone_and_comes_back_with_what_it_held(
    tidings_own_kafka: RealKafka, topic: str
) -> None:
    assert send(plain(tidings_own_kafka), topic) is None
    before = tidings_own_kafka.pid(1), tidings_own_kafka.bootstrap_servers
    tidings_own_kafka.kill(1)
    tidings_own_kafka.kill(1)
    with pytest.raises(RealKafkaError, match="not running"):
        tidings_own_kafka.pid(1)
    error = send(plain(tidings_own_kafka), topic, timeout=1)
    assert error is not None
    tidings_own_kafka.start_node(1)
    assert tidings_own_kafka.pid(1) != before[0]
    assert tidings_own_kafka.bootstrap_servers == before[1]
    assert read(plain(tidings_own_kafka), topic) == b"value"


def test_a_paused_node_answers_nothing_until_it_is_resumed(tidings_own_kafka: RealKafka, topic: str) -> None:
    pid = tidings_own_kafka.pid(1)
    tidings_own_kafka.pause(1)
    error = send(plain(tidings_own_kafka), topic, timeout=1)
    assert error is not None
    tidings_own_kafka.resume(1)
    assert send(plain(tidings_own_kafka), topic) is None
    assert tidings_own_kafka.pid(1) == pid


def test_a_restart_is_in_good_order(tidings_own_kafka: RealKafka, topic: str) -> None:
    pid = tidings_own_kafka.pid(1)
    tidings_own_kafka.restart(1)
    assert tidings_own_kafka.pid(1) != pid
    assert "due to signal SIGTERM" in tidings_own_kafka.logs(1)
    assert send(plain(tidings_own_kafka), topic) is None


def test_a_paused_node_can_be_restarted(tidings_own_kafka: RealKafka, topic: str) -> None:
    tidings_own_kafka.pause(1)
    tidings_own_kafka.restart(1)
    assert send(plain(tidings_own_kafka), topic) is None


def test_healing_resumes_a_paused_node(tidings_own_kafka: RealKafka, topic: str) -> None:
    tidings_own_kafka.pause(1)
    tidings_own_kafka.heal()
    assert send(plain(tidings_own_kafka), topic) is None


def test_breaks_the_node_for_the_next_test(tidings_own_kafka: RealKafka) -> None:
    """A node that is paused can be killed, and after the test it is healed."""
    pid = tidings_own_kafka.pid(1)
    tidings_own_kafka.pause(1)
    tidings_own_kafka.kill(1)
    assert not is_alive(pid)


def test_finds_the_node_whole_again(tidings_own_kafka: RealKafka, topic: str) -> None:
    assert send(plain(tidings_own_kafka), topic) is None


def test_there_is_no_second_node(tidings_own_kafka: RealKafka) -> None:
    with pytest.raises(RealKafkaError, match="no node 2"):
        tidings_own_kafka.kill(2)
