"""The clients that read letters: librdkafka takes what the settings make, also what is for producers."""

from __future__ import annotations

from typing import Any

import pytest

from tidings.kafka.config import reader_config
from tidings.kafka.reading import reader
from tidings.settings import Settings

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"username": "ada", "password": "secret", "sasl_mechanism": "scram-sha-512", "ssl": True},
        {
            "client_config": {
                "sticky.partitioning.linger.ms": 5,
                "compression.level": 3,
                "statistics.interval.ms": 0,
            }
        },
        {"debug": "cgrp"},
    ],
)
def test_librdkafka_takes_it(settings: dict[str, Any]) -> None:
    consumer = reader(Settings(brokers=NOBODY, **settings), "a-group")
    consumer.close()


def test_what_a_reader_is_told() -> None:
    config = reader_config(Settings(brokers=["a:1", "b:2"], service="shop"), "a-group")
    assert config["bootstrap.servers"] == "a:1,b:2"
    assert config["client.id"] == "shop"
    assert config["group.id"] == "a-group"
    assert config["enable.auto.commit"] is False
    assert config["auto.offset.reset"] == "earliest"
    assert not {"acks", "linger.ms", "partitioner"} & config.keys()
