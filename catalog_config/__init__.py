"""Which catalog holds the Iceberg table, how to reach it, and how the table in it is provisioned."""
