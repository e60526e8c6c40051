"""The part of a Manager that has consumers: made, registered, counted, asked how they are."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tidings.consuming.consumer import Consumer
from tidings.consuming.member import Member
from tidings.consuming.states import ManagedStats
from tidings.errors import ConfigError
from tidings.events.declare import Registry
from tidings.publishing.publisher import Publisher
from tidings.states import Health, HealthStatus

if TYPE_CHECKING:
    from tidings.settings import Settings

_PUBLISHER = "publisher"
_SHORTEST_ASK = 0.1
_WORST_FIRST = [HealthStatus.UNHEALTHY, HealthStatus.DEGRADED, HealthStatus.HEALTHY]


class Membership:
    """Takes consumers on one thread, before the start. The rest: any thread."""

    def __init__(
        self, settings: Settings, publisher: Publisher, registry: Registry, logger: logging.Logger | None
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._registry = registry
        self._given_logger = logger
        self._logger = logger or logging.getLogger("tidings.manager")
        self._members: dict[str, Member] = {}
        self._is_full = False

    @property
    def publisher(self) -> Publisher:
        """The publisher: for handlers, and for everybody else."""
        return self._publisher

    @property
    def consumers(self) -> dict[str, Consumer]:
        """The consumers by name, as they are now."""
        return {name: member.consumer for name, member in self._members.items()}

    def consumer(
        self,
        topics: str | Iterable[str] | None = None,
        group_id: str | None = None,
        *,
        name: str | None = None,
        **overrides: Any,
    ) -> Consumer:
        """A new consumer with the manager's settings and ``overrides``, registered under ``name`` (default:
        its group). Its handlers are registered before the start. Raises ConfigError."""
        options: dict[str, Any] = {"registry": self._registry, "logger": self._given_logger, **overrides}
        made = Consumer(
            self._settings, topics=topics, group_id=group_id, publisher=self._publisher, **options
        )
        self.register(made, name)
        return made

    def register(self, consumer: Consumer | Callable[[], Consumer], name: str | None = None) -> str:
        """Have a consumer started and closed with the others; the name it has here (default: its group).

        Given a callable, each life after a failure is a consumer that it makes; it is called once now. Given
        a consumer, the same one lives again. Raises ConfigError: a name that is taken, a consumer that has
        started or is closed, a manager that has started.
        """
        made = consumer if isinstance(consumer, Consumer) else _made_by(consumer)
        renew = None if isinstance(consumer, Consumer) else lambda: _made_by(consumer)
        self._check(made, name)
        name = self._free_name(made.group_id) if name is None else name
        self._members[name] = Member(name, made, renew, self._logger)
        return name

    def health(self, timeout: float = 5) -> Health:
        """The worst of all, and in its message what is wrong with each; asks Kafka for up to ``timeout``
        seconds. Raises nothing."""
        return _worst_of(self.health_of_each(timeout))

    async def ahealth(self, timeout: float = 5) -> Health:
        """``health`` for a coroutine."""
        import asyncio  # noqa: PLC0415

        return await asyncio.to_thread(self.health, timeout)

    def health_of_each(self, timeout: float = 5) -> dict[str, Health]:
        """The health of each consumer by its name, and of ``publisher``. Beside what a consumer says itself:
        ``restarting`` (it failed, and waits), ``restarted`` (degraded: it failed within the last minute),
        ``stopped`` (degraded: by a handler's Stop, or closed). Raises nothing."""
        end = time.monotonic() + timeout

        def left() -> float:
            return max(_SHORTEST_ASK, end - time.monotonic())

        found = {_PUBLISHER: self._publisher.health(left())}
        return found | {name: member.health(left()) for name, member in self._members.items()}

    def stats(self) -> dict[str, ManagedStats]:
        """The counters of each consumer by its name, over all its lives."""
        return {name: member.stats() for name, member in self._members.items()}

    # -- within

    def _check(self, made: Consumer, name: str | None) -> None:
        if self._is_full:
            raise ConfigError("The manager has started: register consumers before.")
        if made._engine is not None:
            raise ConfigError(f"{made!r} has started by itself: the manager is to start it.")
        if made.stats().is_closed:
            raise ConfigError(f"{made!r} is closed: make a new one.")
        if name == _PUBLISHER or name in self._members:
            raise ConfigError(f"register(name={name!r}): the name is taken. Give it another.")
        instance = made._settings.group_instance_id
        for other in self.consumers.values():
            if other is made:
                raise ConfigError(f"{made!r} is registered already.")
            if instance and (other.group_id, other._settings.group_instance_id) == (made.group_id, instance):
                raise ConfigError(
                    f"Two consumers of the group {made.group_id!r} with the GROUP_INSTANCE_ID {instance!r} "
                    "would throw each other out. Give one of them another."
                )

    def _free_name(self, group: str) -> str:
        name, number = group, 1
        while name in self._members or name == _PUBLISHER:
            number += 1
            name = f"{group}-{number}"
        return name


def _made_by(factory: Callable[[], Consumer]) -> Consumer:
    made = factory() if callable(factory) else factory
    if not isinstance(made, Consumer):
        raise ConfigError(f"register(): give a Consumer, or a callable that makes one, not {made!r}.")
    return made


def _worst_of(each: Mapping[str, Health]) -> Health:
    """The worst of several, by name; its message says what is wrong with each."""
    worst = min(each.values(), key=lambda health: _WORST_FIRST.index(health.status))
    bad = [f"{name}: {health.cause}: {health.message}" for name, health in each.items() if not health.ok]
    return Health(status=worst.status, cause=worst.cause, message=" | ".join(bad) or worst.message)
