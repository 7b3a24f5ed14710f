"""DynamoDB for tests and benchmarks: the template's tables on any endpoint, and a DynamoDB in memory."""
