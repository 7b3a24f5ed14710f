"""What matters in Lambda beyond speed: the size of the artefact, the cold start, and peak memory."""
