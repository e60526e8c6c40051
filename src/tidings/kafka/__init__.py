"""The Kafka client: its configuration, what it reports, and what is wrong when it cannot reach Kafka."""
