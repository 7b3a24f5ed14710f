"""What outlives the code: the Iceberg schema with its field ids, and the steps that change it."""
