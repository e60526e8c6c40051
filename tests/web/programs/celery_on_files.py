"""The Celery example with a directory, QUEUE, in place of a broker."""

from __future__ import annotations

import os
from pathlib import Path

from examples.celery_orders.jobs import app

folders = {name: Path(os.environ["QUEUE"]) / name for name in ("data", "control", "processed")}
for folder in folders.values():
    folder.mkdir(exist_ok=True)
app.conf.broker_url = "filesystem://localhost"
app.conf.broker_transport_options = {
    "data_folder_in": str(folders["data"]),
    "data_folder_out": str(folders["data"]),
    "control_folder": str(folders["control"]),
    "processed_folder": str(folders["processed"]),
    "polling_interval": 0.1,
}
