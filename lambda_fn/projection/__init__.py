"""The projection in DynamoDB: one item per sale, for look-ups."""
