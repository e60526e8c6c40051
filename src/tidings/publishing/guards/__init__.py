"""Guards in front of the transport: who may come in now, who waits, and who is refused.

``bucket`` limits the rate, ``bulkhead`` what one topic has under way, ``shedding`` keeps the last room for
what matters most; ``doors`` puts them in the way of new events, and ``waiting`` lets a caller wait there.
"""
