"""Orders with Flask: ``gunicorn "examples.flask_orders.service:create_app()"`` (KAFKA_BROKERS=host:port)."""
