"""The Iceberg table's schema with its field ids, the migrations that change it, and the contracts of the events."""
