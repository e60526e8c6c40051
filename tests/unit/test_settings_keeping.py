"""Settings of what keeps events: durability, sending again, the store, letters; what must hold between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import ConfigError
from tidings.settings import Settings
from tidings.settings.values import letters_topic
from tidings.topics import is_topic_name


def made(**overrides: Any) -> Settings:
    return Settings(**{"brokers": "localhost:9092", **overrides})


def problem(**overrides: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        made(**overrides)
    return str(caught.value)


def test_defaults() -> None:
    settings = made()
    assert (settings.durability, settings.ordering) == ("spill", "key")
    assert (settings.retry_max, settings.retry_backoff, settings.retry_backoff_max) == (3, 0.1, 30.0)
    assert (settings.store_dir, settings.store_name) == (None, None)
    assert (settings.store_after, settings.store_max_bytes) == (2.0, 2**30)
    assert settings.store_max_age == 7 * 24 * 3600
    assert (settings.dlq_topic, settings.dlq_buffer) == ("dead-letters", 1000)
    assert (settings.intake_bytes, settings.intake_messages) == (16 * 2**20, 10_000)


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BROKERS": "a:1",
        "DURABILITY": "write-ahead",
        "STORE_DIR": "/var/lib/shop",
        "STORE_MAX_BYTES": "2GiB",
        "STORE_MAX_AGE": "1d",
        "RETRY_BACKOFF": "250ms",
        "DLQ_TOPIC": "{topic}.dlq",
    }.items():
        monkeypatch.setenv(f"KAFKA_{name}", value)
    settings = Settings.from_env()
    assert (settings.durability, settings.store_dir) == ("write-ahead", Path("/var/lib/shop"))
    assert (settings.store_max_bytes, settings.store_max_age) == (2 * 2**30, 86_400)
    assert (settings.retry_backoff, settings.dlq_topic) == (0.25, "{topic}.dlq")


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("durability", ["memory", "spill", "write-ahead"], ["disk", "write_ahead", None, True]),
        ("ordering", ["key", "none"], ["topic", None]),
        ("retry_max", [1, "1000"], [0, 1001, "x"]),
        ("retry_backoff", ["1ms", "30s"], [0, "2h", "x"]),
        ("retry_backoff_max", ["100ms", "1h"], [0, "2h"]),
        ("store_after", ["100ms", "1m"], [0, "99ms", "2h"]),
        ("store_max_bytes", ["160MiB", "100GiB"], [0, 1023, 2**61, "x"]),
        ("store_max_age", ["1s", "3650d"], [0, "3651d"]),
        ("store_name", [None, "shop"], ["", " ", "a\nb", 5]),
        ("intake_bytes", ["1MiB", "64MiB"], [0, 1023, 2**41, "x"]),
        ("intake_messages", [1, 10_000_000], [0, 10_000_001]),
        ("dlq_buffer", [1, 1_000_000], [0, 1_000_001]),
        ("store_dir", [None, "here", Path("/var/lib/shop")], ["", " ", "a\0b", 5, "~no-such-user-here/x"]),
        (
            "dlq_topic",
            ["letters", "{topic}.dlq", "a.{topic}.{topic}"],
            ["", "a b", "{topic}", "{name}", None],
        ),
    ],
)
def test_bounds(field: str, good: list[object], bad: list[object]) -> None:
    for value in good:
        made(**{field: value})
    for value in bad:
        assert f"  {field}: " in problem(**{field: value}), value


def test_a_store_directory_is_absolute_and_need_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert made(store_dir="~/tidings").store_dir == tmp_path / "home" / "tidings"
    assert made(store_dir="var/tidings").store_dir == tmp_path / "var" / "tidings"
    assert list(tmp_path.iterdir()) == []


def test_the_store_holds_all_of_memory_twice() -> None:
    assert (
        "store_max_bytes: must be 167,772,160 at least, twice KAFKA_QUEUE_BYTES and KAFKA_INTAKE_BYTES"
        in problem(store_max_bytes=167_772_159)
    )
    assert "KAFKA_STORE_MAX_BYTES: must be" in problem(queue_bytes="1GiB")
    made(store_max_bytes=167_772_160)
    made(queue_bytes="1GiB", durability="memory")


def test_the_intake_takes_every_event() -> None:
    large = {"max_event_bytes": "17MB", "flush_bytes": 1000}
    assert "KAFKA_INTAKE_BYTES: must be 17,000,000 at least, or max_event_bytes never fits" in problem(
        **large
    )
    made(**large, intake_bytes="17MB")
    made(**large, durability="memory")


def test_events_are_stored_before_they_time_out() -> None:
    assert "store_after: must be below KAFKA_DELIVERY_TIMEOUT" in problem(store_after="2m")
    assert "KAFKA_STORE_AFTER: must be below delivery_timeout" in problem(delivery_timeout="2s")
    made(delivery_timeout="2s", store_after="1s")
    made(delivery_timeout="100ms", durability="memory")


def test_the_backoff_grows() -> None:
    assert "retry_backoff: must not be above retry_backoff_max" in problem(
        retry_backoff="2s", retry_backoff_max="1s"
    )
    made(retry_backoff="1s", retry_backoff_max="1s")


@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        ({"topic": "dead-letters"}, "topic"),
        ({"topics": {"orders": "dead-letters"}}, "topics"),
        ({"topic_map": {"order.*": "dead-letters"}}, "topic_map"),
        ({"dlq_topic": "default-events"}, "KAFKA_TOPIC"),
        ({"dlq_topic": "prod.orders", "topic": "orders", "topics": {"orders": "prod.orders"}}, "topic"),
    ],
)
def test_letters_have_a_topic_of_their_own(overrides: dict[str, Any], where: str) -> None:
    assert f"is in {where} too: letters need a topic that no event goes to" in problem(**overrides)


def test_letters_go_to_no_logical_name() -> None:
    assert "dlq_topic: is a logical name of topics, for events" in problem(
        dlq_topic="dead", topics={"dead": "prod.dead"}
    )


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{topic}", "is the event's own topic; write more, like {topic}.dlq"),
        ("{topic}{topic}.", None),
        ("dlq/{topic}", "is not a topic name (it may hold {topic}); Kafka takes 1 to 249"),
        ("{topic", "is not a topic name"),
        ("x" * 209 + "{topic}", None),
        ("x" * 210 + "{topic}", "leaves no room for the event's topic"),
        ("x" * 249, None),
    ],
)
def test_names_of_letters_topics(template: str, words: str | None) -> None:
    if words is None:
        assert made(dlq_topic=template).dlq_topic == template
    else:
        assert words in problem(dlq_topic=template)


@given(st.text(alphabet="{topic}.-_ /é", max_size=20), st.from_regex(r"[a-z]{1,40}", fullmatch=True))
def test_any_template_is_refused_or_makes_legal_names_of_others(template: str, topic: str) -> None:
    try:
        found = letters_topic(template)
    except ValueError:
        return
    name = found.replace("{topic}", topic)
    assert is_topic_name(name)
    assert name != topic or "{topic}" not in found


def test_a_wrong_durability_is_told_with_the_choices() -> None:
    assert "durability: must be one of 'memory', 'spill' or 'write-ahead'" in problem(durability="disk")
