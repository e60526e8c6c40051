"""Publishing: the Publisher, and the engine that keeps its promise."""
