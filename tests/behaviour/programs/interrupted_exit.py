"""Publishes, forgets close(), and is met by signals whose handler raises while its exit delivers."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from tidings import Publisher


def leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(number)  # as gunicorn's workers do, at SIGQUIT and SIGINT


signal.signal(signal.SIGALRM, leave)
publisher = Publisher.from_env()
for number in range(100):
    publisher.publish_json(os.environ["TOPIC"], number)
    with open(os.environ["ACCEPTED"], "a") as noted:
        noted.write(f"{number}\n")
signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
sys.exit(0)
