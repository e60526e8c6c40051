"""Orders with Django: ``python -m examples.django_orders.manage runserver`` (KAFKA_BROKERS=host:port)."""
