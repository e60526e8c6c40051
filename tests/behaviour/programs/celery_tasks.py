"""Celery tasks that publish through a publisher made at import; the queue of tasks is the directory QUEUE.

Each accepted event's number is noted in the file ACCEPTED, which the test compares with Kafka. With CLOSE set
each child of the worker closes its publisher. ``python celery_tasks.py 20`` asks for twenty events.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from celery import Celery
from celery.signals import worker_process_shutdown

from tidings import Publisher

_queue = {name: Path(os.environ["QUEUE"]) / name for name in ("data", "control", "processed")}
for _folder in _queue.values():
    _folder.mkdir(exist_ok=True)
app = Celery("celery_tasks", broker="filesystem://localhost")
app.conf.broker_transport_options = {
    "data_folder_in": str(_queue["data"]),
    "data_folder_out": str(_queue["data"]),
    "control_folder": str(_queue["control"]),
    "processed_folder": str(_queue["processed"]),
    "polling_interval": 0.1,
}
app.conf.task_ignore_result = True
app.conf.worker_prefetch_multiplier = 1
publisher = Publisher.from_env()
_noted = os.open(os.environ["ACCEPTED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def publish(number: int) -> None:
    publisher.publish_json(os.environ["TOPIC"], number)
    os.write(_noted, b"%d\n" % number)


task = app.task(name="publish")(publish)


def close(**_: object) -> None:
    publisher.close()


if os.environ["CLOSE"]:
    worker_process_shutdown.connect(close)

if __name__ == "__main__":
    for each in range(int(sys.argv[1])):
        task.delay(each)
