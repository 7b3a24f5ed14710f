"""Creates the Iceberg table of a deployment and evolves its schema (``carousel-sync evolve``)."""
