"""From one YAML file to the repository of a service."""

from __future__ import annotations

from pathlib import Path

from tidings import KafkaEventRepository, Settings

FILE = Path(__file__).with_name("kafka.yaml")


def repository_for(service: str) -> KafkaEventRepository:
    """The repository of one service, which reads as a group of its own."""
    return KafkaEventRepository.from_yaml(FILE, service=service, group_id=f"demo.{service}")


def settings() -> Settings:
    """What the file says, for the one that prepares the topics and looks at them afterwards."""
    return Settings(config_file=FILE)
