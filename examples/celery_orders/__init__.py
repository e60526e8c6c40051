"""Tasks with Celery: ``celery --app examples.celery_orders.jobs worker`` (KAFKA_BROKERS, CELERY_BROKER)."""
