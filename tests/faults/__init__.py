"""Injects faults into real invocations: failed requests, outages, killed processes, and competing writers."""
