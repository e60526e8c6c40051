"""Publishes, awaits, drains and closes on uvloop."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from tidings import Publisher, State


async def main(topic: str) -> None:
    async with Publisher.from_env() as publisher:
        receipts = await asyncio.gather(*(_one(publisher, topic, n) for n in range(2000)))
        assert {receipt.state for receipt in receipts} == {State.DELIVERED}
        for number in range(1000):
            publisher.publish_json(topic, number)
        assert await publisher.drain(30)
        assert (await publisher.ahealth()).ok
    assert publisher.stats().delivered == 3000


async def _one(publisher: Publisher, topic: str, number: int):  # type: ignore[no-untyped-def]
    return await publisher.publish_json(topic, number)


uvloop.run(main(sys.argv[1]))
print("ok")
