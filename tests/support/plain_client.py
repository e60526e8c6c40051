"""A plain confluent-kafka client for the settings that RealKafka hands out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer


def client_config(settings: Mapping[str, Any]) -> dict[str, str | int]:
    """The settings of tidings as properties of librdkafka; what tidings itself does is tested elsewhere."""
    names = {
        "username": "sasl.username",
        "password": "sasl.password",
        "ssl_ca": "ssl.ca.location",
        "ssl_cert": "ssl.certificate.location",
        "ssl_key": "ssl.key.location",
    }
    config: dict[str, str | int] = {
        "bootstrap.servers": str(settings["brokers"]),
        "log_level": 0,
        "reconnect.backoff.max.ms": 200,
        "broker.address.family": "v4",  # localhost may be ::1 as well, where nobody listens
    }
    if settings.get("ssl"):
        config["security.protocol"] = "SASL_SSL" if "username" in settings else "SSL"
    if "sasl_mechanism" in settings:
        config["sasl.mechanism"] = str(settings["sasl_mechanism"]).upper()
    return config | {names[name]: str(value) for name, value in settings.items() if name in names}


def send(settings: Mapping[str, Any], topic: str, timeout: float = 30.0) -> KafkaError | None:
    """Send one event; the error of its delivery report."""
    outcome: list[KafkaError | None] = []
    config = client_config(settings)
    producer = Producer({**config, "acks": "all", "message.timeout.ms": int(timeout * 1000)})
    producer.produce(topic, b"value", key=b"key", on_delivery=lambda error, _: outcome.append(error))
    assert producer.flush(timeout + 10) == 0
    return outcome[0]


def read(settings: Mapping[str, Any], topic: str) -> bytes | None:
    """The first event of a topic."""
    group = {"group.id": str(uuid.uuid4()), "auto.offset.reset": "earliest"}
    consumer = Consumer({**client_config(settings), **group})
    consumer.subscribe([topic])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.error() is None
    return message.value()


def errors_of(settings: Mapping[str, Any], until: str = "") -> set[str]:
    """The names of what the client complains about in 2 seconds, or in up to 20 until one that is awaited."""
    errors: set[str] = set()
    producer = Producer({**client_config(settings), "error_cb": lambda error: errors.add(error.name())})
    end = time.monotonic() + (20 if until else 2)
    while until not in errors and (left := end - time.monotonic()) > 0:
        producer.poll(left)
    return errors
