"""The child process of an EmbeddedBroker: it runs the mock cluster and obeys its parent."""

from __future__ import annotations

import ctypes
import logging
import os
import socket
import sys
from typing import Any

from tidings.testing.channel import Channel
from tidings.testing.errors import EmbeddedBrokerError
from tidings.testing.lifeline import LOOK_EVERY, parent_is_gone
from tidings.testing.mockcluster import EmbeddedCluster


def serve(channel: Channel, parent: int, brokers: int) -> None:
    """Run ``brokers`` brokers and answer the parent's commands until it is gone."""
    with EmbeddedCluster(brokers) as cluster:
        channel.send({"bootstrap_servers": cluster.bootstrap_servers})
        while not parent_is_gone(parent):
            try:
                request = channel.receive(timeout=LOOK_EVERY)
                channel.send({"id": request["id"], **_answer(cluster, request)})
            except TimeoutError:
                continue  # nothing asked; look at the parent again
            except (EOFError, ConnectionError):
                return


def _answer(cluster: EmbeddedCluster, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": cluster._call(request["command"], *request["arguments"])}
    except (EmbeddedBrokerError, ctypes.ArgumentError) as error:
        return {"error": str(error.args[0])}


def main() -> None:
    """Entered as ``python -m tidings.testing.mockserver PARENT BROKERS``; descriptor 0 is the connection."""
    # EmbeddedBroker has said "development only" in the parent; without a handler the child would say it too.
    logging.getLogger("tidings").addHandler(logging.NullHandler())
    parent, brokers = int(sys.argv[1]), int(sys.argv[2])
    with socket.socket(fileno=os.dup(0)) as connection:
        serve(Channel(connection), parent, brokers)


if __name__ == "__main__":
    main()
