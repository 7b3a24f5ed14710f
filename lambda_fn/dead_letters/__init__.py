"""The dead-letter queue for rejected events."""
