"""The deliveries of one publish_batch() call."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any, overload

from tidings.errors import DeliveryError, PublishError
from tidings.publishing.entry import Delivery
from tidings.states import Receipt, State

Outcome = Receipt | DeliveryError | PublishError


class Batch(Sequence[Delivery]):
    """As long as the input and in its order; a refused event's Delivery is already ``rejected``.

    ``wait(timeout)`` and ``await`` give a list with the Receipt of each event, or its error; neither
    raises for an event.
    """

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self._deliveries = deliveries

    @overload
    def __getitem__(self, index: int) -> Delivery: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Delivery]: ...
    def __getitem__(self, index: int | slice) -> Delivery | Sequence[Delivery]:
        return self._deliveries[index]

    def __len__(self) -> int:
        return len(self._deliveries)

    def __repr__(self) -> str:
        return f"<Batch of {len(self)}, {len(self.rejected)} rejected>"

    @property
    def rejected(self) -> dict[int, PublishError]:
        """Why each refused event was refused, by its position in the input."""
        return {
            index: delivery.error
            for index, delivery in enumerate(self._deliveries)
            if delivery.state is State.REJECTED and isinstance(delivery.error, PublishError)
        }

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Block until all have settled; ``timeout`` in seconds for all together, then TimeoutError."""
        end = None if timeout is None else time.monotonic() + timeout
        return [self._wait_one(delivery, end) for delivery in self._deliveries]

    def __await__(self) -> Generator[Any, None, list[Outcome]]:
        return self._gather().__await__()

    async def _gather(self) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for delivery in self._deliveries:
            try:
                outcomes.append(await delivery)
            except (DeliveryError, PublishError) as error:
                outcomes.append(error)
        return outcomes

    @staticmethod
    def _wait_one(delivery: Delivery, end: float | None) -> Outcome:
        try:
            return delivery.wait(None if end is None else max(0.0, end - time.monotonic()))
        except (DeliveryError, PublishError) as error:
            return error
