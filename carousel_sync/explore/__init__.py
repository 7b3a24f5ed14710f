"""Reading what is stored: SQL over the Iceberg table, and queries on the projection."""
