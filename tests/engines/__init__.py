"""Real engines for tests: Amazon's DynamoDB Local, Apache Iceberg's REST server, and the AWS emulator, as processes."""
