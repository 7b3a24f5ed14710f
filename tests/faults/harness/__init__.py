"""What the fault injection tests share: a fault proxy, stores, naive writers as controls, and commands."""
