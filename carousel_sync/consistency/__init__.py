"""Compares the table, the projection and the guard of a stage, and repairs the two DynamoDB tables."""
