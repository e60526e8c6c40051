"""Writes what the demo promises its consumers, as AsyncAPI: ``python -m tools.contract``.

``tests/demo/test_contract.py`` holds the demo's events to the committed file.
"""

from __future__ import annotations

from pathlib import Path

from examples.users_demo.events import registry
from tidings.events.asyncapi import Document, asyncapi, write

FILE = Path(__file__).parent.parent / "examples" / "users_demo" / "asyncapi.json"


def contract() -> Document:
    """The document as it should be."""
    return asyncapi(registry, title="users demo", version="1", source="users")


if __name__ == "__main__":
    write(FILE, contract())
