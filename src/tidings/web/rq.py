"""RQ: correlation ids go from who enqueues a job to the job, and a work horse's publisher is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rq import Worker
from rq.job import Job

from tidings.events.correlation import correlation, current_correlation_id

if TYPE_CHECKING:
    from tidings.publishing.publisher import Publisher

_META = "tidings_correlation_id"


class CorrelatedJob(Job):
    """A job that runs under the correlation id that was in force when it was enqueued, or else its own id.

    ``Queue(…, job_class=CorrelatedJob)`` where jobs are enqueued, ``rq worker --job-class
    tidings.web.rq.CorrelatedJob`` where they run.
    """

    @classmethod
    def create(cls, *args: Any, **options: Any) -> Job:
        """Make a job, as RQ does."""
        job = super().create(*args, **options)
        if (correlation_id := current_correlation_id()) is not None:
            job.meta.setdefault(_META, correlation_id)
        return job

    def perform(self) -> Any:
        """Run the job, as RQ does."""
        with correlation(self.meta.get(_META) or self.id):
            return super().perform()


def closing(publisher: Publisher, worker_class: type[Worker] = Worker) -> type[Worker]:
    """A class of workers that close this publisher at the end of each work horse.

    A horse ends without Python's farewell, so nobody else would deliver what is under way. In the module of
    the jobs: ``OrdersWorker = closing(publisher)``, and ``rq worker --worker-class jobs.OrdersWorker``.
    """

    class ClosingWorker(worker_class):  # type: ignore[valid-type, misc]
        def perform_job(self, *args: Any, **options: Any) -> bool:
            try:
                done: bool = super().perform_job(*args, **options)
            finally:
                if self.is_horse:
                    publisher.close()
            return done

    return ClosingWorker
