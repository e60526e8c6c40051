"""Settings: what a publisher is configured by, from code, the environment, a YAML file and defaults.

``model`` has the fields, ``values`` how their texts are read, ``sources`` where they come from, ``checks``
what must hold between them, ``raw`` which librdkafka properties may be given raw, ``wording`` how what is
wrong is told, ``strangers`` the ``KAFKA_*`` names that are none of ours.
"""

from tidings.settings.model import Settings

__all__ = ["Settings"]
