"""The projection table in DynamoDB: one item per sale for look-ups."""
