"""Group commit: whoever gets to commit commits for everybody who is waiting."""
