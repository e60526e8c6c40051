"""The hot path: publish() of an event without options, as one closure for each kind of event.

It does what ``Publisher.publish``, ``Frame.around`` and ``Engine.accept`` do, without their calls and with
everything bound that is the same for all events of a kind: 1.4 µs an event, its report included, where the
general way takes 1.9. ``tests/unit/test_hot_path.py`` holds the two to the same records.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns
from typing import Any

from tidings.errors import PublishError
from tidings.events.codec import REFUSALS, encode_native
from tidings.events.correlation import current_correlation_id
from tidings.events.frame import Frame, text
from tidings.events.ids import Stamper
from tidings.events.keys import encode_key, no_key
from tidings.publishing.engine import Engine
from tidings.publishing.entry import Delivery
from tidings.publishing.outputs import current_outputs
from tidings.publishing.plans import Plan

Publish = Callable[[Any], Delivery]
_join = b"".join
_FRAMING = 256
"""More than the names of four headers."""


def hot_path(  # noqa: PLR0915 - a call costs 0.1 µs
    plan: Plan,
    frame: Frame,
    engine: Engine,
    stamp: Stamper,
    max_bytes: int,
    check_size: Callable[..., None],
    refused: Callable[[PublishError], Delivery],
) -> Publish:
    """A publish() for the events of ``plan``, in its ``frame``.

    ``check_size`` raises for an event of more than ``max_bytes``; ``refused`` answers for those that were
    not taken.
    """
    encode, is_exact = plan.encoder.encode, plan.encoder.is_exact
    if is_exact is None:
        quick, is_exact = encode, _surely
    else:
        quick = encode_native
    key_of, key_field, topic = plan.key_of, plan.key_field, plan.topic
    before_id, after_id, after_time = frame.before_id + b'"', b'"' + frame.after_id, frame.after_time
    type_header, content_type = frame.type_header, frame.content_type
    before_own_id = after_time + b'"'
    # Ids and types stand in the value too, so the four headers are never longer than it.
    surely_fits = (max_bytes - _FRAMING) // 3
    arrive = engine.guards.doors[plan.priority]

    def publish(event: Any) -> Delivery:  # noqa: PLR0912 - as above
        try:
            try:
                data = quick(event)
            except REFUSALS:
                data = encode(event)  # says what is wrong
            if not is_exact(event):
                data = encode(event)
            ms, prefix, count, time = stamp.tick
            if time_ns() // 1_000_000 == ms:
                try:
                    event_id = prefix + count()
                except StopIteration:
                    event_id, time = stamp()
            else:
                event_id, time = stamp()
            if (correlation_id := current_correlation_id()) is None:
                header = event_id
                value = _join(
                    (
                        before_id,
                        event_id,
                        after_id,
                        time,
                        before_own_id,
                        event_id,
                        b'","data":',
                        data,
                        b"}",
                    )
                )
            else:
                given, header = text(correlation_id, "correlation_id")
                value = _join(
                    (before_id, event_id, after_id, time, after_time, given, b',"data":', data, b"}")
                )
            headers = [("event_id", event_id), type_header, ("correlation_id", header), content_type]
            key = encode_key(key_of(event))
            if key is None and key_field is not None:
                raise no_key(key_field)
            if len(value) > surely_fits or len(key or b"") > surely_fits:
                check_size(value, key, headers)
            entry = Delivery(engine, topic, key, value, frame, event_id)
            asked = False
            try:
                arrive(entry)
                asked = True
                engine.produce(topic, value, key, -1, entry, None, 0, headers)
            except BaseException as error:
                try:
                    engine.not_handed(entry, error, asked, None)
                finally:
                    entry.handed = True
            entry.handed = True
            if (outputs := current_outputs()) is not None:
                outputs.append(entry)
            return entry
        except PublishError as error:
            return refused(error)

    return publish


def _surely(_: Any) -> bool:
    """``encode`` has looked already."""
    return True
