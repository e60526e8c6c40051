"""The errors: one tree, each class with a stable code and a hint, as its module and the docs draw it."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

import tidings
from tidings import errors
from tidings.errors import BrokersUnavailable, ConfigError, DeliveryError, PublishError, TidingsError
from tidings.states import Health, HealthStatus

CLASSES = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, TidingsError)]
CODES = {
    "ConfigError": "KAFKA_INVALID_CONFIG",
    "BrokersUnavailable": "KAFKA_BROKERS_UNAVAILABLE",
    "InvalidEvent": "KAFKA_INVALID_EVENT",
    "InvalidTopic": "KAFKA_INVALID_TOPIC",
    "EventTooLarge": "KAFKA_EVENT_TOO_LARGE",
    "QueueFull": "KAFKA_QUEUE_FULL",
    "StoreFull": "KAFKA_STORE_FULL",
    "StoreUnavailable": "KAFKA_STORE_FAILED",
    "RateLimited": "KAFKA_RATE_LIMITED",
    "BulkheadFull": "KAFKA_BULKHEAD_FULL",
    "PublisherClosed": "KAFKA_CLOSED",
    "PublisherFailed": "KAFKA_FAILED",
    "DeliveryError": "KAFKA_SEND_FAILED",
    "ConsumeError": "KAFKA_CONSUME_FAILED",
}


def test_codes_never_change() -> None:
    assert {name: getattr(errors, name).code for name in CODES} == CODES


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_public_and_in_the_drawn_tree(cls: type[TidingsError]) -> None:
    assert getattr(tidings, cls.__name__) is cls
    assert re.search(rf"\b{cls.__name__}\b", errors.__doc__ or "")
    assert "\n" not in cls.hint


def test_what_is_wrong_with_the_value_is_a_value_error() -> None:
    wrong = {cls.__name__ for cls in CLASSES if issubclass(cls, ValueError)}
    assert wrong == {"ConfigError", "DocumentError", "InvalidEvent", "InvalidTopic", "EventTooLarge"}


def test_what_may_succeed_later_is_retriable() -> None:
    retriable = {cls.__name__ for cls in CLASSES if cls.retriable}
    assert retriable == {
        "BrokersUnavailable",
        "QueueFull",
        "StoreFull",
        "StoreUnavailable",
        "RateLimited",
        "BulkheadFull",
    }


def test_an_error_says_its_code_and_what_to_do() -> None:
    said = str(ConfigError("BROKERS is empty."))
    assert said == "BROKERS is empty. [KAFKA_INVALID_CONFIG] Correct the named settings and start again."
    assert str(ConfigError()).startswith("[KAFKA_INVALID_CONFIG]")
    for cls in CLASSES:
        if issubclass(cls, PublishError) and cls is not PublishError:
            assert "Nothing was taken." in cls.hint


def test_a_delivery_error_survives_a_process_boundary() -> None:
    error = DeliveryError(
        "lost",
        kafka_error="_MSG_TIMED_OUT",
        certainty="unknown",
        attempts=2,
        event_id="e-1",
        topic="orders",
        letter_id="l-1",
    )
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert vars(other) == vars(error)
        assert str(other) == str(error)
        assert type(other) is DeliveryError


@pytest.mark.parametrize(
    ("status", "ok", "ready"),
    [
        (HealthStatus.HEALTHY, True, True),
        (HealthStatus.DEGRADED, False, True),
        (HealthStatus.UNHEALTHY, False, False),
    ],
)
def test_health_says_what_it_is(status: HealthStatus, ok: bool, ready: bool) -> None:
    health = Health(status=status, cause="refused", message="Nobody answers.")
    assert (health.ok, health.ready, bool(health)) == (ok, ready, ok)
    if ready:
        health.raise_if_unhealthy()
    else:
        with pytest.raises(BrokersUnavailable, match="Nobody answers"):
            health.raise_if_unhealthy()
