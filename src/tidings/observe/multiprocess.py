"""Several processes, one scrape: numbers mirrored into the files that prometheus_client adds up.

prometheus_client reads no collectors of other processes: it keeps the value of each metric in a file per
process. So what the collector would say is written there once a second, as increments of counters: a second
is what a SIGKILL can take from them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import Counter, Gauge

from tidings.observe import metrics
from tidings.observe.prometheus import labels_of, shown, values_of
from tidings.observe.watched import Watchable, Watched
from tidings.publishing.threads import NativeThread, acquire, native_lock

_logger = logging.getLogger("tidings.metrics")
_EVERY: Final = 1.0
_LONGEST_WRITE: Final = 5.0
_Name = tuple[metrics.Metric, tuple[str, ...]]


class Mirror:
    """Writes what is watched to PROMETHEUS_MULTIPROC_DIR, from a thread of its own in each process.

    One for a process, for ever. Any thread.
    """

    def __init__(self) -> None:
        self._watched = Watched(self.write)
        self._shown = dict(_each_shown(metrics.PUBLISHER, "client_id"))
        self._shown.update(_each_shown(metrics.CONSUMER, "group"))
        self._start_afresh()
        os.register_at_fork(
            before=self._stand_still, after_in_parent=self._go_on, after_in_child=self._start_afresh
        )

    def watch(self, watched: Iterable[Watchable]) -> None:
        """Write of these too."""
        self._watched.watch(watched)
        self.write()

    def write(self) -> None:
        """Write what there is now."""
        with self._writing:
            samples = {(it.metric, tuple(values_of(it))): it.value for it in self._watched.samples()}
            for name in self._written.keys() - samples.keys():
                samples[name] = 0  # a gauge of what is no more
            for name, value in samples.items():
                self._write(name, value)

    def _write(self, name: _Name, value: int) -> None:
        metric, labels = name
        former = self._written.get(name)
        if not shown(metric) or value == former:
            return
        there = self._shown[metric].labels(*labels)
        if isinstance(there, Counter):
            there.inc(value - (former or 0))
        else:
            there.set(value)
        self._written[name] = value

    def _start_afresh(self) -> None:
        """At the start, and in a forked child, whose file is another and empty."""
        self._writing = native_lock()
        self._written: dict[_Name, int] = {}
        NativeThread(self._run, "tidings-metrics").start()

    def _stand_still(self) -> None:
        """Before a fork: the locks of prometheus_client that this thread holds would be held in the child."""
        acquire(self._writing, _LONGEST_WRITE)

    def _go_on(self) -> None:
        if self._writing.locked():
            self._writing.release()

    def _run(self) -> None:
        nap, has_complained = native_lock(), False
        nap.acquire()
        while not nap.acquire(timeout=_EVERY):
            try:
                self.write()
            except Exception:  # a full disk, as a rule: it may have room again
                if not has_complained:
                    has_complained = True
                    _logger.exception("Metrics of this process cannot be written. This is said once.")


def _each_shown(
    table: Iterable[metrics.Metric], owner: str
) -> Iterator[tuple[metrics.Metric, Counter | Gauge]]:
    for metric in filter(shown, table):
        name, labels = metric.prometheus_name, labels_of(metric, owner)
        if metric.kind == "counter":
            yield metric, Counter(name, metric.help, labels, registry=None)
        else:
            yield metric, Gauge(name, metric.help, labels, registry=None, multiprocess_mode="livesum")
