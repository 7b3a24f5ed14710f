"""Real engines for tests, as processes: DynamoDB Local, Apache Iceberg's REST server, and Lambda's runtime emulator."""
