"""Jobs with RQ: ``rq worker --worker-class examples.rq_orders.jobs.OrdersWorker
--job-class tidings.web.rq.CorrelatedJob orders`` (KAFKA_BROKERS=host:port)."""
