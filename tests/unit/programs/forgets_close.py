"""Publishes, and ends without close(). Arguments: the file, how to end, and whether Kafka is there."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time

from support.events import OrderPlaced
from support.files import FileTransport
from tidings import Publisher

path, how, kafka = sys.argv[1:]
logging.basicConfig(format="%(levelname)s %(message)s")
transport = FileTransport(path)
publisher = Publisher(transport=transport, service="forgets", close_timeout="200ms")
transport.down()
for number in range(100):
    publisher.publish(OrderPlaced(str(number)))
if kafka == "up":
    threading.Timer(0.05, transport.up).start()
if how == "return":
    pass
elif how == "exit":
    sys.exit(0)
elif how == "raise":
    raise SystemExit("a mistake")
elif how == "dropped":
    del publisher
elif how == "sigterm":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
elif how == "sigint":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(0)
elif how == "publishing":  # a thread goes on until it is refused

    def go_on() -> None:
        while not publisher.stats().is_closed:
            try:
                publisher.publish(OrderPlaced("more"))
            except Exception:
                return

    threading.Thread(target=go_on, daemon=True).start()
    time.sleep(0.02)
elif how == "asyncio":
    import asyncio

    async def main() -> None:
        publisher.publish(OrderPlaced("more"))

    asyncio.run(main())
