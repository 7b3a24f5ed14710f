"""The dead-letter queue: reading it, and sending its events back to be processed again."""
