"""The contract of the event as JSON Schema: for producers, and for the schema registry of EventBridge."""
