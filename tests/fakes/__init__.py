"""Stand-ins for what is outside the process. They behave as the real thing does: tests/contract holds them to it."""
