"""Use cases: what a service does with events, by an EventRepository alone."""
