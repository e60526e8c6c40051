"""Where settings come from (code, environment, YAML), in what order, by which names; and what is none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidings.errors import ConfigError
from tidings.settings import Settings, strangers

SECRET = "hunter2-do-not-show"


@pytest.fixture(autouse=True)
def _told_nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "_told", set())


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set KAFKA_… variables."""

    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"KAFKA_{name}", value)

    return set_variables


@pytest.fixture
def yaml(tmp_path: Path) -> Callable[[str], Path]:
    """Write a YAML file."""

    def write(text: str) -> Path:
        path = tmp_path / "settings.yaml"
        path.write_text(text)
        return path

    return write


Env = Callable[..., None]
Yaml = Callable[[str], Path]


def problem(make: Callable[[], Settings]) -> str:
    with pytest.raises(ConfigError) as caught:
        make()
    return str(caught.value)


def test_the_environment(env: Env) -> None:
    env(BROKERS="a:1,b:2", TOPIC_MAP='{"user.*": "users"}', TOPICS="orders=prod.orders", MAX_BLOCK="250ms")
    env(SSL="true", MAX_IN_FLIGHT="1", QUEUE_BYTES="8MiB", CLIENT_CONFIG='{"socket.keepalive.enable": true}')
    settings = Settings.from_env()
    assert settings.brokers == ("a:1", "b:2")
    assert (settings.topic_map, settings.topics) == ({"user.*": "users"}, {"orders": "prod.orders"})
    assert (settings.max_block, settings.max_in_flight, settings.queue_bytes) == (0.25, 1, 8 * 2**20)
    assert (settings.ssl, settings.client_config) == (True, {"socket.keepalive.enable": True})


def test_an_empty_variable_is_not_set(env: Env) -> None:
    env(BROKERS="a:1", TOPIC="", USERNAME="", MAX_BLOCK="")
    settings = Settings()
    assert (settings.topic, settings.username, settings.max_block) == ("default-events", None, 1.0)


def test_yaml(yaml: Yaml) -> None:
    path = yaml(
        """
        application: {name: shop}   # other top-level names are the application's own
        KAFKA:
          BROKERS: ["a:1", "[::1]:2"]
          TOPICS: {orders: prod.orders}
          TOPIC_MAP: {user.*: users}
          MAX_BLOCK: 2
          FLUSH_TIMEOUT: 10ms
          SSL: false
          QUEUE_BYTES: 8MiB
          CLIENT_CONFIG: {socket.keepalive.enable: true}
          PASSWORD:
        """
    )
    settings = Settings.from_yaml(path)
    assert settings.brokers == ("a:1", "[::1]:2")
    assert (settings.topics, settings.topic_map) == ({"orders": "prod.orders"}, {"user.*": "users"})
    assert (settings.max_block, settings.flush_timeout, settings.queue_bytes) == (2.0, 0.01, 8 * 2**20)
    assert (settings.ssl, settings.client_config) == (False, {"socket.keepalive.enable": True})
    assert (settings.password, settings.config_file) == (None, path)


def test_code_over_environment_over_yaml_over_defaults(env: Env, yaml: Yaml) -> None:
    path = yaml(
        "KAFKA: {BROKERS: ['yaml:1'], TOPIC: yaml, SERVICE: yaml, VERSION: yaml, TOPICS: {a: a1, b: b1}}"
    )
    env(CONFIG_FILE=str(path), TOPIC="env", SERVICE="env", TOPICS="a=env-a")
    settings = Settings(service="code")
    assert settings.brokers == ("yaml:1",)
    assert (settings.service, settings.topic, settings.version) == ("code", "env", "yaml")
    assert settings.client_id == "code"
    assert settings.max_block == 1.0
    assert settings.topics == {"a": "env-a"}  # replaced, not mixed


def test_a_file_named_in_code_goes_before_one_in_the_environment(env: Env, yaml: Yaml) -> None:
    env(CONFIG_FILE="/nowhere/settings.yaml")
    assert Settings.from_yaml(yaml("KAFKA: {BROKERS: ['yaml:1']}"), topic="code").topic == "code"


def test_a_password_and_a_password_file_are_one_thing(env: Env, yaml: Yaml, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from-the-file")
    path = yaml(f"KAFKA: {{BROKERS: ['a:1'], USERNAME: u, PASSWORD_FILE: '{file}'}}")
    assert Settings.from_yaml(path).sasl_password == "from-the-file"
    env(PASSWORD=SECRET)
    assert Settings.from_yaml(path).sasl_password == SECRET
    env(PASSWORD_FILE=str(file))
    assert "KAFKA_PASSWORD_FILE: KAFKA_PASSWORD is set too" in problem(lambda: Settings.from_yaml(path))


def test_each_problem_has_the_name_the_user_wrote(env: Env, yaml: Yaml) -> None:
    path = yaml(
        "KAFKA: {BROKERS: [a], VERSION: 1.0, USERNAME: u, FLUSH_BYTES: soon, MAX_EVENT_BYTE: 1, brokers: []}"
    )
    env(MAX_BLOCK="soon")
    told = problem(lambda: Settings(config_file=path, topic="a b"))
    for words in (
        f"  BROKERS in {path}: 'a' has no port",
        f"  VERSION in {path}: must be text (in YAML, put it in quotes)",
        f"  FLUSH_BYTES in {path}: 'soon' is not a size",
        f"  MAX_EVENT_BYTE in {path}: there is no such setting; is MAX_EVENT_BYTES meant?",
        f"  brokers in {path}: there is no such setting; is BROKERS meant?",
        f"  KAFKA_PASSWORD: is not set, but USERNAME in {path} is",
        "  KAFKA_MAX_BLOCK: 'soon' is not a duration",
        "  topic: 'a b' is not a topic name",
    ):
        assert words in told


BOMB = "\n".join(
    [
        "a0: &a0 [x, x]",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)),
        "KAFKA: *a11",
    ]
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no top-level KAFKA: map"),
        ("kafka: {}", "has no top-level KAFKA: map"),
        ("- KAFKA", "has no top-level KAFKA: map"),
        ("KAFKA: [BROKERS]", "must be a map of settings"),
        ("KAFKA: {BROKERS: [a:1}", "is not valid YAML, near line 1"),
        (
            f"KAFKA:\n  PASSWORD: *{SECRET}",
            "is not valid YAML, near line 2; put special characters in quotes",
        ),
        (
            f"KAFKA:\n  PASSWORD: !{SECRET}",
            "is not valid YAML, near line 2; put special characters in quotes",
        ),
        (f'KAFKA:\n  PASSWORD: "{SECRET}\n  X: 1', "is not valid YAML"),
        ("KAFKA: {PASSWORD: \x00}", "is not valid YAML"),
        (f"KAFKA: {{BROKERS: ['a:1'], PASSWORD: [{SECRET}]}}", "PASSWORD in "),
        (f"KAFKA: {{BROKERS: ['a:1'], CLIENT_CONFIG: '{SECRET}'}}", "CLIENT_CONFIG in "),
        ("KAFKA: {BROKERS: ['a:1'], CONFIG_FILE: other.yaml}", "CONFIG_FILE in "),
        (f"KAFKA:\n  PASSWORD: a\n  PASSWORD: {SECRET}", "line 3: a name stands twice in one map"),
        ("KAFKA: {}\nKAFKA: {}", "line 2: a name stands twice in one map"),
        ("KAFKA:\n\tBROKERS: [a:1]", "is not valid YAML, near line 2"),
        ("KAFKA: {TOPICS: {a: a1, a: a2}}", "a name stands twice in one map"),
        (BOMB, "it comes to more than 10,000 values"),
        ("[" * 100_000, "is nested too deeply"),
        ("a: &a [*a]", "has no top-level KAFKA: map"),
        ("KAFKA: {BROKERS: ['a:1'], 5: x}", "5 in "),
    ],
)
def test_wrong_files(text: str, words: str, yaml: Yaml) -> None:
    path = yaml(text)
    told = problem(lambda: Settings.from_yaml(path))
    assert words in told
    assert str(path) in told
    assert SECRET not in told


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(b"KAFKA: {PASSWORD: \xff" + SECRET.encode())
    told = problem(lambda: Settings.from_yaml(path))
    assert "is not valid YAML; it must be UTF-8 text" in told
    assert SECRET not in told


def test_a_file_that_is_not_there(env: Env) -> None:
    env(CONFIG_FILE="/nowhere/settings.yaml")
    assert "KAFKA_CONFIG_FILE: '/nowhere/settings.yaml' cannot be read: No such file" in problem(
        Settings.from_env
    )


@pytest.mark.parametrize("text", ["KAFKA:", "KAFKA: {}"])
def test_an_empty_map(text: str, yaml: Yaml) -> None:
    assert Settings.from_yaml(yaml(text), enabled=False).brokers == ()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ({"broker": "a:1"}, "broker: there is no such setting; is brokers meant?"),
        ({"BROKERS": "a:1"}, "BROKERS: there is no such setting; is brokers meant?"),
        ({"qqqq": 1}, "qqqq: there is no such setting\n"),
    ],
)
def test_unknown_names_in_code(override: dict[str, Any], words: str) -> None:
    assert words in problem(lambda: Settings(**override))


# --- names in the environment that are no settings


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Make settings; return what was logged."""

    def read() -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.WARNING, "tidings.settings"):
            Settings(brokers="a:1")
        return caplog.messages

    return read


Warnings = Callable[[], list[str]]


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        ("BROKRES", "BROKERS"),
        ("BROKER", "BROKERS"),
        ("BOOTSTRAP_SERVERS", "BROKERS"),
        ("MAX_EVENTS_BYTES", "MAX_EVENT_BYTES"),
        ("PASWORD", "PASSWORD"),
        ("SASL_PASSWORD", "PASSWORD"),
        ("SSL_VERIFIED", "SSL_VERIFY"),
        ("MAX_BLOCK_MS", "MAX_BLOCK"),
    ],
)
def test_probable_typos_are_told_once(name: str, likely: str, env: Env, warnings: Warnings) -> None:
    env(**{name: SECRET})
    told = f"KAFKA_{name} is no setting of tidings and was not read. Is KAFKA_{likely} meant?"
    assert warnings() == [told]
    assert warnings() == []


def test_what_other_clients_call_it_is_quiet_once_ours_is_set(env: Env, warnings: Warnings) -> None:
    env(BOOTSTRAP_SERVERS="a:1", BROKERS="a:1")
    assert warnings() == []


OTHERS = """
    HOME OPTS HEAP_OPTS CLASSPATH JVM_PERFORMANCE_OPTS GC_LOG_OPTS DEBUG_FLAG DEBUG_OPTS JMX_PORT LOG4J_OPTS
    VERSION_X TEST_BROKERS TEST_TOPIC
    BROKER_ID NODE_ID PROCESS_ROLES LISTENERS ADVERTISED_LISTENERS LISTENER_SECURITY_PROTOCOL_MAP
    INTER_BROKER_LISTENER_NAME CONTROLLER_QUORUM_VOTERS ZOOKEEPER_CONNECT LOG_DIRS LOG_RETENTION_HOURS
    OFFSETS_TOPIC_REPLICATION_FACTOR TRANSACTION_STATE_LOG_MIN_ISR AUTO_CREATE_TOPICS_ENABLE CREATE_TOPICS
    DELETE_TOPIC_ENABLE DEFAULT_REPLICATION_FACTOR MIN_INSYNC_REPLICAS NUM_PARTITIONS MESSAGE_MAX_BYTES
    COMPRESSION_TYPE GROUP_INITIAL_REBALANCE_DELAY_MS CONFLUENT_SUPPORT_METRICS_ENABLE METRIC_REPORTERS
    SSL_KEYSTORE_FILENAME SSL_KEYSTORE_LOCATION SSL_KEY_CREDENTIALS SSL_TRUSTSTORE_LOCATION SSL_CLIENT_AUTH
    SSL_ENDPOINT_IDENTIFICATION_ALGORITHM SASL_ENABLED_MECHANISMS SASL_MECHANISM_INTER_BROKER_PROTOCOL
    SASL_JAAS_CONFIG SECURITY_INTER_BROKER_PROTOCOL SUPER_USERS AUTHORIZER_CLASS_NAME SOCKET_REQUEST_MAX_BYTES
    CFG_NODE_ID CLUSTERS_0_BOOTSTRAPSERVERS REST_BOOTSTRAP_SERVERS CONNECT_BOOTSTRAP_SERVERS
    SERVICE_HOST SERVICE_PORT PORT PORT_9092_TCP PORT_9092_TCP_ADDR BROKERS_SERVICE_HOST BROKERS_PORT
"""


@pytest.mark.parametrize(
    "name",
    OTHERS.split(),
)
def test_other_programs_names_are_no_nuisance(name: str, env: Env, warnings: Warnings) -> None:
    env(**{name: "x"})
    assert warnings() == []


def test_a_typo_is_told_even_where_the_settings_are_wrong(env: Env, caplog: pytest.LogCaptureFixture) -> None:
    env(BROKERZ="a:1")
    with caplog.at_level(logging.WARNING, "tidings.settings"), pytest.raises(ConfigError):
        Settings.from_env()
    assert "Is KAFKA_BROKERS meant?" in caplog.text
