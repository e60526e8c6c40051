"""Topics that are unknown, deleted or forbidden, and passwords that are wrong: an operator mends them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
)
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from cluster.conftest import Kept, MakeTrial
from tidings.testing import RealKafka
from tidings.testing.faults import Trial
from tidings.testing.kafkaadmin import admin_client

pytestmark = pytest.mark.timeout(400)


def store_fills(trial: Trial) -> None:
    """Wait until nothing but the store can have the events."""
    trial.load.wait_until(lambda life: life.stats is not None and life.stats.stored > 500)


def test_a_topic_that_is_unknown_from_the_start(make_trial: MakeTrial, kept: Kept) -> None:
    trial = make_trial({"KAFKA_OUTAGE_AFTER": "4s", "KAFKA_DELIVERY_TIMEOUT": "20s"})
    trial.load.start()
    store_fills(trial)
    time.sleep(8)
    stats = trial.load.lives[-1].stats
    assert stats is not None
    assert (stats.delivered, stats.dead_lettered) == (0, 0)
    trial.create_topics()
    verdict = trial.end()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)


def test_a_topic_that_is_deleted_and_created_again(trial: Trial, cluster: RealKafka, kept: Kept) -> None:
    trial.begin()
    trial.load.pause()  # so that what is in the topic can be read before it goes
    time.sleep(1.5)
    trial.before.add(trial.records())
    assert trial.before.copies
    cluster.delete_topic(trial.topic)
    trial.load.resume()
    store_fills(trial)
    time.sleep(6)
    cluster.create_topic(trial.topic, 6)
    verdict = trial.end()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)


class User:
    """A user of the cluster with a password of its own, which may change."""

    def __init__(self, cluster: RealKafka) -> None:
        self.name = f"user-{uuid.uuid4().hex[:8]}"
        self.admin: AdminClient = admin_client(cluster.bootstrap_servers)
        self.acls: list[AclBinding] = []

    def set_password(self, password: str) -> None:
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(self.name, credential, password.encode())
        for answer in self.admin.alter_user_scram_credentials([change]).values():
            answer.result(30)

    def env(self, cluster: RealKafka, password: str) -> dict[str, str]:
        return {
            "KAFKA_BROKERS": cluster.secure_bootstrap_servers,
            "KAFKA_SSL": "true",
            "KAFKA_SSL_CA": str(cluster.ca_path),
            "KAFKA_SASL_MECHANISM": "scram-sha-512",
            "KAFKA_USERNAME": self.name,
            "KAFKA_PASSWORD": password,
            "KAFKA_OUTAGE_AFTER": "4s",
        }

    def allow(self, topic: str) -> None:
        """May do all to a topic; for users without an ACL it then is forbidden."""
        acl = AclBinding(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            f"User:{self.name}",
            "*",
            AclOperation.ALL,
            AclPermissionType.ALLOW,
        )
        for answer in self.admin.create_acls([acl]).values():
            answer.result(30)
        self.acls.append(acl)

    def forbid(self) -> None:
        """Take back what was allowed."""
        filters = [
            AclBindingFilter(
                acl.restype,
                acl.name,
                acl.resource_pattern_type,
                acl.principal,
                acl.host,
                acl.operation,
                acl.permission_type,
            )
            for acl in self.acls
        ]
        for answer in self.admin.delete_acls(filters).values() if filters else ():
            answer.result(30)
        self.acls.clear()


@pytest.fixture
def user(cluster: RealKafka) -> Iterator[User]:
    user = User(cluster)
    yield user
    user.forbid()


def test_a_wrong_password(make_trial: MakeTrial, cluster: RealKafka, user: User, kept: Kept) -> None:
    user.set_password("another")
    trial = make_trial(user.env(cluster, "secret"))
    trial.create_topics()
    trial.load.start()
    store_fills(trial)
    time.sleep(8)
    stats = trial.load.lives[-1].stats
    assert stats is not None
    assert (stats.delivered, stats.dead_lettered) == (0, 0)
    user.set_password("secret")
    verdict = trial.end()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)
    assert "secret" not in trial.load.log_tail(10_000)


def test_a_password_that_is_changed(
    make_trial: MakeTrial, cluster: RealKafka, user: User, kept: Kept
) -> None:
    user.set_password("secret")
    trial = make_trial(user.env(cluster, "secret"))
    trial.begin()
    user.set_password("another")
    store_fills(trial)
    time.sleep(8)
    user.set_password("secret")
    verdict = trial.end()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)


def test_a_permission_that_is_taken_away_and_given_back(
    make_trial: MakeTrial, cluster: RealKafka, user: User, kept: Kept
) -> None:
    user.set_password("secret")
    trial = make_trial(user.env(cluster, "secret"))
    somebody = User(cluster)
    trial.create_topics()
    somebody.allow(trial.topic)
    user.allow(trial.topic)
    try:
        trial.start()
        user.forbid()
        store_fills(trial)
        time.sleep(8)
        user.allow(trial.topic)
        verdict = trial.end()
    finally:
        somebody.forbid()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)
