"""The operator's command line, ``carousel-sync``: one package per subject."""
