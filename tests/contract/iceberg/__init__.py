"""The Iceberg adapters against SQLite, the emulator and the REST reference server."""
