"""Runs the users service on a listening socket that the demo opened: its port is known, and free for certain.

The service logs to stderr, where the demo picks it up.
"""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import sys

import uvicorn

from examples.users_demo.leash import end_with_parent
from examples.users_demo.service import app

GRACE = 2
"""Seconds for requests under way when the service is told to end."""


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket's file descriptor")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("users").setLevel(logging.INFO)
    # uvicorn shuts down in order at SIGTERM, and then raises the signal again for whoever had it before.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    end_with_parent()
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE)
    with socket.socket(fileno=arguments.fd) as listening:
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
