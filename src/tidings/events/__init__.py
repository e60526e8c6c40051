"""The words: declaring events, ids, correlation, envelopes, routing."""
