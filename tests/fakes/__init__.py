"""Stand-ins for what is outside the process, held to the behaviour of the real thing by tests/contract."""
