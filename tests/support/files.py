"""A transport that writes what it delivers to a file, so that other processes can be asked about it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tidings.testing.memory import InMemoryTransport


class FileTransport(InMemoryTransport):
    """Appends one line of JSON for each delivered record, with the process that delivered it."""

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = path

    def _deliver(self, taken: Any) -> None:
        super()._deliver(taken)
        if taken.fault is None:
            line = json.dumps({"pid": os.getpid(), **self.records[-1].json()}) + "\n"
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(file, line.encode())
            os.close(file)


def read_lines(path: str | Path) -> list[dict[str, Any]]:
    """What was written."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()] if Path(path).exists() else []
