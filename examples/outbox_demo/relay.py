"""A relay in a process of its own: ``python -m examples.outbox_demo.relay DSN`` (KAFKA_BROKERS=host:port)."""

from __future__ import annotations

import sys

from tidings.outbox import Relay

if __name__ == "__main__":
    # A short lease, since this one is going to be killed; the default is 30 s.
    report = Relay(sys.argv[1], lease=2.0, batch=50).run()
    print(f"a relay ended: {report.delivered} delivered, {report.left} left over")
