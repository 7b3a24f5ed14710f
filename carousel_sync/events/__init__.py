"""Sale events to send: read from a file, or generated."""
