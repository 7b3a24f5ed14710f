"""Many writers on one table: in groups, each alone, and with pyiceberg."""
