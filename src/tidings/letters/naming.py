"""The name of the topic that letters go to."""

from __future__ import annotations

import hashlib
from typing import Final

_LONGEST: Final = 249
_PLACE: Final = "{topic}"


def dlq_topic(template: str, topic: str) -> str:
    """The dead-letter topic for events of ``topic``: DLQ_TOPIC, which may hold ``{topic}``.

    Where the name would be longer than Kafka's 249 characters the topic in it is cut, and a hash of the whole
    keeps it apart from others. ``template`` leaves room for that: see DLQ_TOPIC.
    """
    name = template.replace(_PLACE, topic)
    if len(name) <= _LONGEST:
        return name
    places = template.count(_PLACE)
    mark = "-" + hashlib.blake2b(topic.encode(), digest_size=6).hexdigest()
    room = (_LONGEST - len(template) + places * len(_PLACE)) // places - len(mark)
    return template.replace(_PLACE, topic[:room] + mark)
