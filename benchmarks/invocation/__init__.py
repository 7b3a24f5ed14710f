"""Invocations of the handler, and its most expensive steps: claims in DynamoDB, and decoding events."""
