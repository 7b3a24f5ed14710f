"""The guard in DynamoDB: which attempt may land a sale, and which sales are done."""
