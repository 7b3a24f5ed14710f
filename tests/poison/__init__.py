"""Invalid and unusual events: each one is rejected with its reason, and the rest of its batch is stored."""
