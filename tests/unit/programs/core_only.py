"""Uses tidings where nothing is installed but what it depends on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

DEPENDENCIES = {
    "tidings",
    "confluent_kafka",
    "durationpy",
    "filelock",
    "msgspec",
    "pydantic_settings",
    "yaml",
    "_yaml",
    "stamina",
    # and what these depend on
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_extensions",
    "typing_inspection",
    "dotenv",
    "tenacity",
}


class OnlyTheCore(MetaPathFinder):
    """Refuses whatever an installation without extras does not have."""

    def __init__(self) -> None:
        self.refused: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if top in DEPENDENCIES or top in sys.stdlib_module_names or top.startswith("_sysconfigdata"):
            return None
        self.refused.add(top)
        raise ImportError(f"{name} is not installed here")


finder = OnlyTheCore()
sys.meta_path.insert(0, finder)

import asyncio  # noqa: E402
import dataclasses  # noqa: E402

import msgspec  # noqa: E402

import tidings  # noqa: E402
from tidings import Publisher, Settings, event  # noqa: E402
from tidings.testing.memory import InMemoryTransport  # noqa: E402


@event("a.struct", topic="structs", key="n")
class AStruct(msgspec.Struct):
    n: int


@event("a.dataclass")
@dataclasses.dataclass
class ADataclass:
    n: int


for name in tidings.__all__:
    getattr(tidings, name)
transport = InMemoryTransport()
with Publisher(Settings(brokers="nowhere:9092", service="core"), transport=transport) as publisher:
    publisher.publish(AStruct(1)).wait(60)
    publisher.publish(ADataclass(2)).wait(60)
    publisher.publish({"n": 3}, event_type="a.dict").add_done_callback(print)

    async def main() -> None:
        await publisher.publish(AStruct(4))
        await publisher.drain(60)

    asyncio.run(main())
    assert publisher.health().ok
assert [event["data"] for event in transport.events()] == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
with Publisher(brokers="127.0.0.1:1", service="core", close_timeout="0s") as publisher:
    publisher.publish(AStruct(1))  # the real client, and nobody there
    assert publisher.close(0).stored == 1
print("refused:", sorted(finder.refused))
