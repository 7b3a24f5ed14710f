"""A guided run of the whole system on this machine."""
