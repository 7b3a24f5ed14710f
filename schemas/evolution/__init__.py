"""Schema evolution: plans migrations as Iceberg updates and applies them to a table while writers use it."""
