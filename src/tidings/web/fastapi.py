"""FastAPI: the publisher as a dependency, handed over by the lifespan, replaced in tests."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from tidings.errors import ConfigError
from tidings.publishing.publisher import Publisher

__all__ = ["PublisherDependency", "get_publisher"]


def get_publisher(connection: HTTPConnection) -> Publisher:
    """The publisher that ``FastAPI(lifespan=tidings.lifespan(publisher))`` has handed over.

    Tests replace it: ``app.dependency_overrides[get_publisher] = lambda: publisher``. Works for requests and
    websockets. Raises ConfigError without such a lifespan.
    """
    publisher = getattr(connection.state, "publisher", None)
    if not isinstance(publisher, Publisher):
        raise ConfigError("No publisher: make the application with lifespan=tidings.lifespan(publisher).")
    return publisher


PublisherDependency = Annotated[Publisher, Depends(get_publisher)]
"""For an endpoint's parameter: ``def place(order: Order, publisher: PublisherDependency): …``"""
