"""Orders with FastAPI: ``uvicorn examples.fastapi_orders.service:app`` (KAFKA_BROKERS=host:port)."""
