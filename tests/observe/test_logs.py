"""JsonFormatter: one line whatever is logged, no secrets, bounded; structlog in place of logging; storms."""

from __future__ import annotations

import json
import logging
import logging.config
import logging.handlers
import queue
import unicodedata
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from support.processes import wait_until
from tidings import Consumer, Publisher, Secret, correlation
from tidings.observe import CorrelationFilter, JsonFormatter
from tidings.testing.memory import InMemoryTransport

LONG = 30.0
Line = dict[str, Any]


def _line(formatter: JsonFormatter, message: object = "m", *args: object, **extra: Any) -> Line:
    record = logging.getLogger("tidings.x").makeRecord(
        "tidings.x", logging.ERROR, "f.py", 1, message, args, None, extra=extra
    )
    text = formatter.format(record)
    assert len(text.splitlines()) == 1
    assert not {unicodedata.category(it) for it in text} & {"Cc", "Cs", "Zl", "Zp"}
    found: Line = json.loads(text)
    return found


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(object()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.text(), st.text(), _VALUES)
def test_one_line_whatever_is_logged(message: str, field: str, value: object) -> None:
    found = _line(JsonFormatter(), message, topic=field, detail=value)
    assert (found["level"], found["logger"], found["component"]) == ("ERROR", "tidings.x", "kafka")
    assert found["time"].endswith("Z")


@given(st.text(st.characters(exclude_characters=":=/@", exclude_categories=["Cs"]), max_size=50))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert _line(JsonFormatter(), "%s", text)["message"] == text


@pytest.mark.parametrize(
    "forged", ["\n", "\r\n", "\x0b", "\x1b[2J", "\x85", "\u2028", "\u2029", "\u202e", "\x00"]
)
def test_nobody_forges_a_line(forged: str) -> None:
    message = f'login of eve{forged}{{"level": "INFO", "message": "login of root"}}'
    assert _line(JsonFormatter(), message, user=f"eve{forged}x")["message"] == message


@dataclass
class _Card:
    number: Annotated[str, Secret]
    owner: str


@pytest.mark.parametrize(
    "text",
    [
        "connect to postgres://app:hunter2@db:5432/x failed",
        "sasl.password=hunter2",
        '{"password": "hunter2", "user": "x"}',
        "Authorization: Basic hunter2",
        "{'api_key': 'hunter2'}",
        "Bearer hunter2hunter2",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        "Cookie: hunter2",
        "token eyJhbGciOi.hunter2.hunter2",
        "client_secret = 'it is hunter2'",
        "error: pwd=hunter2",
        "password => hunter2",
        'password: "hunter2 that nobody closed',
    ],
)
def test_secrets_stay_inside(text: str) -> None:
    formatter = JsonFormatter()
    assert "hunter2" not in json.dumps(_line(formatter, text, detail=text, nested={"a": [text]}))
    try:
        raise ValueError(text)
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "m", "exc_info": (type(error), error, error.__traceback__)})
    assert "hunter2" not in formatter.format(record)


def test_secrets_by_the_name_of_their_field() -> None:
    card = _Card("4111", "ada")
    found = _line(JsonFormatter(), password="hunter2", headers={"Authorization": "x"}, card=card)
    assert (found["password"], found["headers"]) == ("***", {"Authorization": "***"})
    assert found["card"] == {"number": "***", "owner": "ada"}


def test_everything_is_bounded() -> None:
    nested: list[Any] = []
    for _ in range(1000):
        nested = [nested]
    extras = {f"field{number}": "x" * 100_000 for number in range(200)}
    found = _line(
        JsonFormatter(), "m" * 100_000, deep=nested, wide=list(range(10**5)), big=10**5000, **extras
    )
    assert len(found["message"]) == 8192
    assert len(json.dumps(found)) < 150_000


def test_arguments_that_do_not_fit_are_shown() -> None:
    assert "42" in _line(JsonFormatter(), "%d and %d", 42)["message"]


def test_exceptions_and_fields_of_ones_own() -> None:
    formatter = JsonFormatter({"service": "shop"})
    try:
        raise ValueError("it\nbroke")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "m", "exc_info": (type(error), error, error.__traceback__)})
    found = json.loads(formatter.format(record))
    assert (found["error"], found["service"]) == ("ValueError: it\nbroke", "shop")
    assert found["exception"].startswith("Traceback")
    assert "component" not in found, "that is for tidings' own"


def test_no_field_takes_the_place_of_the_formatters_own() -> None:
    forged = {"level": "INFO", "time": "noon", "logger": "x", "exception": "e", "stack": "s"}
    found = _line(JsonFormatter({"level": 7}), topic="orders", **forged)
    assert (found["level"], found["logger"], found["topic"]) == ("ERROR", "tidings.x", "orders")
    assert found["time"].endswith("Z")
    assert {"exception", "stack"}.isdisjoint(found)
    assert (found["extra_time"], found["extra_exception"], found["extra_level"]) == ("noon", "e", 7)


def test_what_happened_is_no_secret() -> None:
    for said in ("TOPIC_AUTHORIZATION_FAILED: Broker: no", "jwt.InvalidTokenError: Signature has expired"):
        assert _line(JsonFormatter(), said)["message"] == said


def test_what_cannot_even_be_shown_is_a_line_too() -> None:
    class Evil:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    assert "paid %s" in _line(JsonFormatter(), "paid %s", Evil(), of=Evil())["message"]


def test_the_correlation_id_also_behind_a_queue() -> None:
    with correlation("req-1"):
        assert _line(JsonFormatter())["correlation_id"] == "req-1"
        assert _line(JsonFormatter(), correlation_id="other")["correlation_id"] == "other"
        waiting: queue.Queue[logging.LogRecord] = queue.Queue()
        handler = logging.handlers.QueueHandler(waiting)
        handler.addFilter(CorrelationFilter())
        handler.handle(logging.makeLogRecord({"msg": "m"}))
        assert _line(JsonFormatter(), correlation_id=None)["correlation_id"] == "req-1"
    assert json.loads(JsonFormatter().format(waiting.get()))["correlation_id"] == "req-1"
    assert "correlation_id" not in _line(JsonFormatter())


# -- what tidings itself logs

Lines = list[MutableMapping[str, Any]]


@pytest.fixture(params=["structlog", "structlog on logging", "logging"])
def logger_and_lines(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Lines]]:
    """A logger of each kind, and what it was given, as dicts."""
    lines: Lines = []

    def keep(_: object, __: str, event: MutableMapping[str, Any]) -> str:
        lines.append(event)
        return str(event)

    if request.param == "logging":
        logger = logging.getLogger("tests.observed")
        handler = logging.Handler()
        handler.emit = lambda record: lines.append(json.loads(JsonFormatter().format(record)))  # type: ignore[method-assign]
        logger.addHandler(handler)
        yield logger, lines
        logger.removeHandler(handler)
        return
    processors: list[Any] = [structlog.processors.add_log_level, structlog.processors.format_exc_info]
    if request.param == "structlog":
        yield (
            structlog.wrap_logger(
                structlog.ReturnLogger(),
                processors=[*processors, keep],
                wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            ),
            lines,
        )
    else:
        yield (
            structlog.wrap_logger(
                logging.getLogger("tests.observed"),
                processors=[*processors, keep],
                wrapper_class=structlog.stdlib.BoundLogger,
            ),
            lines,
        )


def _found(lines: Lines, word: str) -> Lines:
    return [it for it in list(lines) if word in str(it.get("event", it.get("message")))]


def test_a_publishers_lines(logger_and_lines: tuple[Any, Lines]) -> None:
    logger, lines = logger_and_lines
    transport = InMemoryTransport()
    transport.fail_always(lambda record: record.topic == "forbidden", "TOPIC_AUTHORIZATION_FAILED")

    def broken(_: object) -> None:
        raise ValueError("a callback's")

    with Publisher(
        transport=transport, service="p", logger=logger, on_reject="log", retry_max=1, retry_backoff=0.001
    ) as publisher:
        publisher.produce("t", b"1").add_done_callback(broken)
        publisher.produce("bad\ntopic", b"1")
        with correlation("req-1"):
            lost = publisher.publish({"a": 1}, event_type="a.b", topic="forbidden")
        assert wait_until(lost.done, LONG)
    (rejected,) = _found(lines, "event rejected")
    assert rejected["code"] == "KAFKA_INVALID_TOPIC"
    (told,) = _found(lines, "event lost")
    assert (told["event_id"], told["topic"]) == (lost.event_id, "forbidden")
    assert told["correlation_id"] == "req-1"
    assert (told["error"], told["code"]) == ("TOPIC_AUTHORIZATION_FAILED", "KAFKA_SEND_FAILED")
    assert (told["component"], told["brokers"]) == ("kafka", "in-memory.invalid:9092")
    assert str(told["level"]).lower() == "critical"
    (called,) = _found(lines, "a callback raised")
    assert "ValueError: a callback's" in called["exception"]


def test_a_consumers_lines_and_a_storm_of_failures(logger_and_lines: tuple[Any, Lines]) -> None:
    logger, lines = logger_and_lines
    transport, failures = InMemoryTransport(), 60
    consumer = Consumer(
        transport=transport, topics="t", group_id="g", logger=logger, on_outage="letter", brokers=["b:9092"]
    )

    @consumer.on("order.placed", retries=0)
    def always_fails(order: dict[str, int]) -> None:
        raise KeyError(order["number"])

    @consumer.on("order.paid", retries=0)
    def fails_once(order: dict[str, int]) -> None:
        raise LookupError

    with Publisher(transport=transport, service="p") as publisher:
        for number in range(failures):
            publisher.publish({"number": number}, event_type="order.placed", topic="t", key=str(number))
        publisher.publish({"number": -1}, event_type="order.paid", topic="t")
        assert publisher.flush(LONG)
        with consumer:
            assert wait_until(lambda: consumer.stats().dead_lettered == failures + 1, LONG)
    named = _found(lines, "failed at")
    (first,) = _found(named, "always_fails")
    assert _found(named, "fails_once"), "one handler's storm does not hide another"
    more = _found(_found(lines, "always_fails"), " more: ")
    assert sum(it["count"] for it in more) == failures - 1
    assert (first["topic"], first["group"], first["code"]) == ("t", "g", "KAFKA_HANDLER_FAILED")
    assert (first["error"], first["attempt"], first["component"]) == ("KeyError", 1, "kafka")
    assert first["event_id"]
    assert first["correlation_id"]


def test_a_storm_of_letters_is_one_line_and_a_count(
    logger_and_lines: tuple[Any, Lines], tmp_path: Path
) -> None:
    logger, lines = logger_and_lines
    transport = InMemoryTransport()
    transport.fail_always(lambda record: record.topic == "t", "MSG_SIZE_TOO_LARGE")
    with Publisher(
        transport=transport, logger=logger, durability="spill", store_dir=tmp_path, retry_max=1
    ) as publisher:
        found = [publisher.publish_json("t", number) for number in range(30)]
        assert wait_until(lambda: publisher.stats().dead_lettered == len(found), LONG)
    told = _found(lines, "event dead-lettered")
    assert sum(it.get("count", 1) for it in told) == len(found)
    assert len(told) < len(found) / 2
    assert (told[0]["topic"], told[0]["error"]) == ("t", "MSG_SIZE_TOO_LARGE")
    assert told[0]["event_id"] in {delivery.event_id for delivery in found}
    assert all(str(it["level"]).lower() == "warning" for it in told)
