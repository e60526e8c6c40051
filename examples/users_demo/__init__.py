"""`make demo`: a users service goes on answering while Kafka is away, and no event is lost."""
