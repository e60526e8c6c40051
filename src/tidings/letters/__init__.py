"""Letters and the store: what could not be sent, on disk and on the dead-letter topic."""
