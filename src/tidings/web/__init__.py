"""In a web service: audit entries of requests, auth and usage events, correlation ids, health endpoints."""
