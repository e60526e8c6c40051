"""Which jars make a Kafka: KAFKA_CLASSPATH, or KAFKA_HOME, or those that the PyPI package jgo fetches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from tidings.testing.cache import cache_directory
from tidings.testing.errors import RealKafkaUnavailable

_KAFKA, _LOG4J = "4.3.1", "2.25.1"
# kafka-clients is named although kafka_2.13 needs it: alone, jgo settles on 3.9.1 and nothing starts.
# The binding of slf4j to log4j is in nobody's list of needs, and without it Kafka logs nothing.
_WANTED = (
    f"org.apache.kafka:kafka-clients:{_KAFKA}",
    f"org.apache.kafka:kafka_2.13:{_KAFKA}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{_LOG4J}",
)
_FETCH_TIMEOUT = 600.0  # seconds for all of them, 46 jars of 45 MB; measured 18


def kafka_jars() -> list[Path]:
    """Kafka's class path. Raises RealKafkaUnavailable.

    KAFKA_CLASSPATH is a class path (a part may end in ``/*``), KAFKA_HOME an unpacked Kafka 4. Otherwise the
    jars are resolved by jgo and kept where Maven keeps them (M2_REPO, or ~/.m2/repository): 18 s the first
    time, then 0.2 s, without the network.
    """
    if path := os.environ.get("KAFKA_CLASSPATH"):
        return _existing("KAFKA_CLASSPATH", [jar for part in path.split(os.pathsep) for jar in _expand(part)])
    if home := os.environ.get("KAFKA_HOME"):
        return _existing("KAFKA_HOME", sorted(Path(home, "libs").glob("*.jar")))
    return maven_jars(*_WANTED)


def maven_jars(*coordinates: str) -> list[Path]:
    """These artifacts (``group:artifact:version``) and all they need. Raises RealKafkaUnavailable."""
    # One process at a time: two that fetch the same jar write the same file.
    with FileLock(cache_directory() / "jars.lock", timeout=_FETCH_TIMEOUT):
        try:
            return _resolve(coordinates, offline=True)
        except ImportError as error:
            raise RealKafkaUnavailable("Kafka's jars cannot be fetched: jgo is not installed.") from error
        except Exception:  # jgo has no error of its own for "not here yet"; _fetch says what else it may be
            return _fetch(coordinates)


def _fetch(coordinates: Sequence[str]) -> list[Path]:
    import truststore  # noqa: PLC0415 - optional, with jgo

    # requests knows the authorities of certifi alone: a company's own, which pip and curl find in the
    # system's store, made every download fail.
    truststore.inject_into_ssl()
    try:
        return _resolve(coordinates, offline=False)
    except Exception as error:  # whatever jgo, requests or the disk say, Kafka cannot be had
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        raise RealKafkaUnavailable(f"Kafka's jars could not be fetched: {first_line}") from error
    finally:
        truststore.extract_from_ssl()


def _resolve(coordinates: Sequence[str], *, offline: bool) -> list[Path]:
    # Not jgo.build(): it would fetch a whole JDK where `java` is not on PATH, and splits the jars over two
    # folders.
    from jgo.maven import MavenContext  # noqa: PLC0415 - optional, and slow to import
    from jgo.parse import Coordinate  # noqa: PLC0415

    context = MavenContext(timeout=30, offline=offline)
    wanted = [
        context.create_dependency(replace(Coordinate.parse(text), scope="compile")) for text in coordinates
    ]
    named, needed = context.resolver.resolve(wanted)
    jars = [*named, *(jar for jar in needed if jar.scope in {"compile", "runtime"})]
    return [Path(jar.artifact.resolve()) for jar in jars]


def _expand(part: str) -> list[Path]:
    return sorted(Path(part[:-2]).glob("*.jar")) if part.endswith("/*") else [Path(part)]


def _existing(source: str, jars: list[Path]) -> list[Path]:
    missing = [str(jar) for jar in jars if not jar.exists()]
    if missing or not jars:
        raise RealKafkaUnavailable(f"{source} has no jars: {', '.join(missing) or os.environ[source]}")
    return jars
