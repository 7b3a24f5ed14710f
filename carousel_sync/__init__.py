"""The operator's command line, ``carousel-sync``."""
