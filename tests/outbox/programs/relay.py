"""A relay until it is killed; its arguments are JSON. Says ``ready`` when it works."""

from __future__ import annotations

import json
import sys

from tidings.outbox import Relay

given = json.loads(sys.argv[1])
relay = Relay(given["dsn"], table=given["table"], brokers=given["brokers"], batch=50, lease=1.0, poll=0.01)
with relay:
    print("ready", flush=True)
    relay._thread.join(None)  # type: ignore[union-attr]
