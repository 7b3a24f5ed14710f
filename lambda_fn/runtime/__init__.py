"""What the function needs whatever it processes: start, time, retries and threads."""
