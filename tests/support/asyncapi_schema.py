"""The official JSON Schema of AsyncAPI 3.1.0: fetched with npm, pinned by its hash, never committed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

PACKAGE: Final = "@asyncapi/specs@6.11.1"
FILE: Final = "asyncapi-specs-6.11.1.tgz"
SHA256: Final = "01af8744dc33c0c7eb2e908f6a955319ee58b70ecadc9387d1aeb16c0cd28928"
MEMBER: Final = "package/schemas/3.1.0.json"


def official_schema(directory: Path) -> dict[str, Any]:
    """The schema, from ``directory`` or else from npm. Skips the test where npm cannot be had."""
    archive = directory / FILE
    if not archive.exists():
        _fetch(archive)
    content = archive.read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256, f"{archive} is not {PACKAGE}: delete it"
    with tarfile.open(archive) as tar:
        member = tar.extractfile(MEMBER)
        assert member is not None
        schema: dict[str, Any] = json.load(member)
    return schema


def _fetch(archive: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(
            f"NOT VALIDATED against the official AsyncAPI schema: npm, to fetch {PACKAGE}, is missing"
        )
    with TemporaryDirectory(dir=archive.parent) as there:  # moved when it is whole: tests may run in parallel
        packed = subprocess.run(
            [npm, "pack", PACKAGE, "--pack-destination", there],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if packed.returncode != 0:
            last = packed.stderr.strip().splitlines()[-1:]
            pytest.skip(
                f"NOT VALIDATED against the official AsyncAPI schema: npm pack {PACKAGE} failed: {last}"
            )
        os.replace(Path(there) / FILE, archive)
