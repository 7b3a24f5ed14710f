"""Real engines for tests, as processes: stores, catalogs, readers of the table, and Lambda's runtime emulator."""
