"""What tests and benchmarks run against: an AWS emulator, stores on it, proxies and generated sales; not installed."""
