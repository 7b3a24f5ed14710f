"""A deployed stage and its services on AWS: the stack, the event bus and the buffer queue."""
